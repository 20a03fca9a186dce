//! Lengths of time, as people type them.

use std::time::Duration;

/// `90s`, `1h30m`, `250ms`, or plain seconds; [`None`] for anything else and for
/// nothing.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let parsed = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => Duration::try_from(text.parse::<jiff::SignedDuration>().ok()?).ok()?,
    };
    (!parsed.is_zero()).then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_or_are_seconds() {
        assert_eq!(parse("90s"), Some(Duration::from_secs(90)));
        assert_eq!(parse("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
        for wrong in ["", "0", "0s", "-5s", "soon", "NaN", "inf", "1e400"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
