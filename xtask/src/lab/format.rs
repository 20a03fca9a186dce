//! Figures as a person reads them.

use std::cmp::Reverse;
use std::time::Duration;

use tracer_core::report::{ByKind, FlowReport, Report};
use tracer_ebpf::RetransmitKind;

use crate::testbed::load::record;

/// What was not measured, or could not be found out. Never a zero.
pub(crate) const UNKNOWN: &str = "–";

/// What was measured, in words.
pub(crate) fn known<T>(measured: Option<T>, words: impl Fn(T) -> String) -> String {
    measured.map_or(UNKNOWN.to_owned(), words)
}

/// The flows of a report that retransmitted, the worst first.
pub(crate) fn flows(report: &Report) -> Vec<&FlowReport> {
    let flows = report.flows.iter();
    let mut flows: Vec<_> = flows.filter(|flow| flow.segments > 0).collect();
    flows.sort_by_key(|flow| Reverse(flow.segments));
    flows
}

/// The kinds of retransmits that there were, the most frequent first.
pub(crate) fn kinds(by_kind: &ByKind) -> Vec<(RetransmitKind, u64)> {
    let mut kinds: Vec<_> = by_kind.each().into_iter().collect();
    kinds.retain(|(_, count)| *count > 0);
    kinds.sort_by_key(|(_, count)| Reverse(*count));
    kinds
}

/// Milliseconds, with a unit and the digits that matter.
pub(crate) fn milliseconds(ms: f64) -> String {
    if ms >= 1000.0 {
        format!("{:.1} s", ms / 1000.0)
    } else if ms >= 100.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{ms:.1} ms")
    }
}

/// The same of a duration.
pub(crate) fn time(time: &Duration) -> String {
    milliseconds(record::milliseconds(*time))
}

/// Bytes, in the unit that logs of databases have.
pub(crate) fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1 << 20))
}

pub(crate) fn percent(percent: &f64) -> String {
    format!("{percent:.1} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_units_and_few_digits() {
        assert_eq!(time(&Duration::from_nanos(3_671_930)), "3.7 ms");
        assert_eq!(time(&Duration::from_micros(212_614)), "213 ms");
        assert_eq!(time(&Duration::from_millis(31_491)), "31.5 s");
        assert_eq!(mebibytes(67_983_648.0), "64.8 MiB");
        assert_eq!(percent(&99.900_686), "99.9 %");
    }
}
