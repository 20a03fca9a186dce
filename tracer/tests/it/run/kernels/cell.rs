//! What a test found, as a cell of the table of kernels.

use std::thread;

use serde_json::json;

/// Every segment was counted, and as what it was.
pub(crate) fn exact(column: &str, variant: &str, segments: u64) {
    say(column, "exact", variant, Some(segments));
}

/// Every segment was counted, and some of them without being told what they were.
pub(crate) fn exact_sum(column: &str, segments: u64) {
    say(column, "sum exact", "", Some(segments));
}

/// So many were shown, and that is not all.
pub(crate) fn fewer(column: &str, shown: u64) {
    say(column, "fewer", "", Some(shown));
}

/// The kernel has it, or does it so.
pub(crate) fn found(column: &str, verdict: &str) {
    say(column, verdict, "", None);
}

/// The kernel does not have what this needs, and the tool says so.
pub(crate) fn absent(column: &str, what: &str) {
    say(column, &format!("no {what}"), "", None);
}

fn say(column: &str, verdict: &str, variant: &str, segments: Option<u64>) {
    let cell = json!({
        "table": table(),
        "column": column,
        "verdict": verdict,
        "variant": variant,
        "segments": segments,
    });
    // On a line of its own, whatever the test runner has begun.
    println!("\ncell {cell}");
}

/// The module of the test that asks: the test runner calls its thread by its name.
fn table() -> String {
    let thread = thread::current();
    let module = thread.name().and_then(|name| name.split("::").nth(2));
    // Without a second thread, tests run in the first one, which has no such name.
    module.unwrap().to_owned()
}
