//! What `--inject` and `tracer inject` are told to do.

use tracer::foreign;
use tracer::inject::FaultSpec;

use crate::shown;

/// The bytes are what was typed.
///
/// What is shown of a fault can be typed, and is the same one; what is wrong with it is
/// said in a line.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match text.parse::<FaultSpec>() {
        Ok(fault) => {
            let again = fault.to_string().parse::<FaultSpec>();
            assert_eq!(again.as_ref(), Ok(&fault), "{fault}");
            if let Some(share) = fault.share() {
                let percent = share.percent.get();
                assert!(percent > 0.0 && percent <= 100.0, "{percent}");
                assert!((1..=1 << 32).contains(&share.percent.threshold()));
            }
        }
        Err(error) => shown::lines(&foreign::said(&error.to_string())),
    }
}
