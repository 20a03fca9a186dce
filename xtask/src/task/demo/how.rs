//! `how.md`: how a result came about, written by the run itself.

use tracer_core::report::Report;

use super::DemoArguments;
use crate::lab::provenance;
use crate::testbed::load::clients::{CONNECTIONS, READS_PER_SECOND, WRITES_PER_SECOND};

/// How to do it again, and on what it was done.
pub(super) fn render(arguments: &DemoArguments, report: &Report, commit: &str) -> String {
    let DemoArguments {
        percent,
        before,
        fault,
        recovery,
        ..
    } = arguments;
    let command = format!(
        "cargo xtask demo --percent {percent} --before {before} --fault {fault} --recovery {recovery}"
    );
    format!(
        "{head}
`run.json` is tracer's report, `load.json` every request of the clients. Three
network namespaces on one machine: a primary (10.0.10.2), its synchronous
standby (10.0.10.3), and the clients (10.0.10.10) with {WRITES_PER_SECOND} writes and {READS_PER_SECOND} reads a
second over {CONNECTIONS} connections each. tracer ran on the standby's side, where the
fault was.
",
        head = provenance::head(&command, commit, report, ""),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbed::sample_report;

    #[test]
    fn it_can_be_done_again() {
        let arguments = DemoArguments {
            output: None,
            percent: 50,
            before: 10,
            fault: 30,
            recovery: 5,
        };
        let text = render(&arguments, &sample_report::empty(), "abc");
        assert!(text.contains("--percent 50 --before 10 --fault 30 --recovery 5\n"));
        assert!(text.contains("with 10 writes and 5 reads a\nsecond over 4 connections"));
    }
}
