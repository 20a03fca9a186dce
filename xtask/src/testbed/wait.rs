//! Waiting on a condition, with a deadline, and never deaf to Ctrl-C.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::testbed::interrupt;

/// Between two polls of a condition: short beside anything waited for here,
/// long enough to cost nothing.
const POLL: Duration = Duration::from_millis(5);

/// A poll that takes long itself, as on an emulated machine, is followed by a
/// pause so many times as long: what is waited for needs the processor, too.
const PAUSE: u32 = 3;

/// The longest pause: nobody shall wait that much longer than needed.
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// Asks `condition` until it yields a value.
///
/// # Errors
/// When `limit` passes first, when this program is interrupted, or when the
/// condition itself fails; `what` names what was waited for.
pub fn until<T>(
    limit: Duration,
    what: &str,
    condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    poll(limit, what, interrupt::check, condition)
}

/// Like [`until`], for what has to happen even after an interrupt: tidying up.
pub(crate) fn until_uninterrupted<T>(
    limit: Duration,
    what: &str,
    condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    poll(limit, what, || Ok(()), condition)
}

fn poll<T>(
    limit: Duration,
    what: &str,
    go_on: impl Fn() -> Result<()>,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let begun = Instant::now();
        if let Some(value) = condition()? {
            return Ok(value);
        }
        let pause = (begun.elapsed() * PAUSE).clamp(POLL, MAX_PAUSE);
        go_on()?;
        if Instant::now() >= deadline {
            bail!(
                "waited {:.1} s for {what}, which did not come",
                limit.as_secs_f64()
            );
        }
        sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_ends_the_wait() {
        let mut left = 3;
        let value = until(Duration::from_secs(5), "three polls", || {
            left -= 1;
            Ok((left == 0).then_some("done"))
        });
        assert_eq!(value.unwrap(), "done");
    }

    #[test]
    fn the_deadline_names_what_did_not_come() {
        let never = until(Duration::ZERO, "a miracle", || Ok(None::<()>));
        assert!(never.unwrap_err().to_string().contains("a miracle"));
    }
}
