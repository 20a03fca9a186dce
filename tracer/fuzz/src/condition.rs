//! What `tracer compare --fail-if` is told to look for.

use tracer::foreign;
use tracer_core::compare::condition::Condition;
use tracer_core::compare::metric::Metric;

use crate::shown;

/// The bytes are what was typed.
///
/// What is shown of a condition can be typed, and is the same one; its metric is one that
/// there is; what is wrong with it is said in a line.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match text.parse::<Condition>() {
        Ok(condition) => {
            let again = condition.to_string().parse::<Condition>();
            assert_eq!(again.as_ref(), Ok(&condition), "{condition}");
            assert!(Metric::all().contains(&condition.metric), "{condition}");
        }
        Err(error) => shown::lines(&foreign::said(&error.to_string())),
    }
}
