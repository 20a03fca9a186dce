//! A report that is changed: one with everything, or a short one with one part of it.
//!
//! What reads and shows a report takes the longer the more there is in it, and most changes
//! concern one part: short ones are run ten times as often.

use serde_json::{Value, json};
use tracer_core::report::Report;

/// What a report has that may be missing in another, the number of the base being that of
/// the part that is left in it.
const PARTS: [&str; 7] = [
    "findings",
    "phases",
    "faults",
    "flows",
    "postgres",
    "commits",
    "processors",
];

/// The report itself, and for each part the report without the others.
pub(crate) fn of(report: &[u8]) -> Vec<Value> {
    let whole: Value = serde_json::from_slice(report).expect("it is JSON");
    let short = PARTS.iter().map(|kept| {
        let mut value = whole.clone();
        for part in PARTS.iter().filter(|part| *part != kept) {
            clear(&mut value[part]);
        }
        let bytes = serde_json::to_vec(&value).expect("it has a form in JSON");
        Report::read(&bytes).expect("a report without these parts can be read");
        value
    });
    let short: Vec<Value> = short.collect();
    [vec![whole], short].concat()
}

/// What the byte says, the first for a byte that is not there.
pub(crate) fn chosen(bases: &[Value], byte: Option<&u8>) -> Value {
    let number = byte.map_or(0, |byte| usize::from(*byte)) % bases.len();
    bases[number].clone()
}

fn clear(part: &mut Value) {
    *part = if part.is_array() {
        json!([])
    } else {
        Value::Null
    };
}
