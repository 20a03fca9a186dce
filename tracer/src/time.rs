//! Lengths of time, as people type them.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

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

/// The number with a decimal point in it, where a comma stands between two digits
/// as it does on much of Europe's paper: `1.5s` for `1,5s`. [`None`] for what has no
/// such comma, or several.
#[must_use]
pub fn decimal_point(text: &str) -> Option<String> {
    let (whole, rest) = text.split_once(',')?;
    let is_number = whole.bytes().all(|byte| byte.is_ascii_digit()) && !whole.is_empty();
    let continues = rest.starts_with(|c: char| c.is_ascii_digit()) && !rest.contains(',');
    (is_number && continues).then(|| format!("{whole}.{rest}"))
}

/// Whether this is a number alone, of which nobody knows whether it means seconds
/// or milliseconds.
pub(crate) fn lacks_unit(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_between_digits_is_a_decimal_point() {
        let better = |text| decimal_point(text);
        assert_eq!(better("1,5s").as_deref(), Some("1.5s"));
        assert_eq!(better("0,25").as_deref(), Some("0.25"));
        assert_eq!(better("12,5%").as_deref(), Some("12.5%"));
        for other in ["1.5s", "30s,60s", "1,s", ",5", "1,000,000", "a,5", "-1,5"] {
            assert_eq!(better(other), None, "{other}");
        }
    }

    #[test]
    fn a_number_alone_lacks_a_unit() {
        for alone in ["100", "0.5", "1e3", "0"] {
            assert!(lacks_unit(alone), "{alone}");
        }
        for other in ["100ms", "", "soon", "inf", "1m30s"] {
            assert!(!lacks_unit(other), "{other}");
        }
    }

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
