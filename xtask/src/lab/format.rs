//! Figures as a person reads them.

use std::time::Duration;

use crate::testbed::load::record;

/// What was not measured, or could not be found out. Never a zero.
pub(crate) const UNKNOWN: &str = "–";

/// What was measured, in words.
pub(crate) fn known<T>(measured: Option<T>, words: impl Fn(T) -> String) -> String {
    measured.map_or(UNKNOWN.to_owned(), words)
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

/// Percent.
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
