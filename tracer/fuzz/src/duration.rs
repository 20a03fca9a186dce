//! Lengths of time and rates, as options take them.

use tracer::foreign::parse_time;
use tracer::inject::BitRate;
use tracer::{foreign, time};
use tracer_core::recording::probe::Rate;

/// The bytes are what was typed.
///
/// No length of time is 0, what is suggested for a comma has none, and what is shown of a
/// rate can be typed.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let parsed = time::parse(text);
    assert!(parsed.is_none_or(|time| !time.is_zero()));
    match parse_time("slow-commit", text) {
        Ok(time) => assert_eq!(parsed, Some(time)),
        Err(_) => assert!(parsed.is_none() || time::decimal_point(text).is_some()),
    }
    if let Some(better) = time::decimal_point(text) {
        assert!(!better.contains(','), "{better}");
    }
    if let Ok((before, lasts)) = foreign::phases(text) {
        assert!(!before.is_zero() && !lasts.is_zero());
    }
    if let Ok(rate) = text.parse::<BitRate>() {
        assert!(rate.bytes() >= 1);
        assert_eq!(rate.to_string().parse::<BitRate>(), Ok(rate));
    }
    if let Ok(rate) = text.parse::<Rate>() {
        assert!(rate.due_ns(u64::MAX) >= rate.due_ns(1));
    }
}
