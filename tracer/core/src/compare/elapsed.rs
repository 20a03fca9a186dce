//! How long it was between two moments that a report has.

use jiff::Timestamp;

/// From one to the other, s; `None` if one of them is none, or they are the other way round.
pub(super) fn seconds(from: &str, to: &str) -> Option<f64> {
    let [from, to] = [from, to].map(|moment| moment.parse::<Timestamp>());
    let ns = to.ok()?.as_nanosecond() - from.ok()?.as_nanosecond();
    (ns > 0).then_some(ns as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_follows_has_a_length() {
        let [first, second] = ["2026-11-30T19:02:42.5Z", "2026-11-30T19:03:00Z"];
        assert_eq!(seconds(first, second), Some(17.5));
        assert_eq!(seconds(second, first), None);
        assert_eq!(seconds(first, first), None);
        assert_eq!(seconds("", second), None);
    }
}
