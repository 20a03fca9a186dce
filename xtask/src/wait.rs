//! Waiting on a condition, with a deadline, and never deaf to Ctrl-C.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::interrupt;

/// Between two looks at a condition: short beside anything waited for here,
/// long enough to cost nothing.
const LOOK: Duration = Duration::from_millis(5);

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
    look(limit, what, interrupt::check, condition)
}

/// Like [`until`], for what has to happen even after an interrupt: tidying up.
///
/// # Errors
/// When `limit` passes first or the condition itself fails.
pub fn until_uninterrupted<T>(
    limit: Duration,
    what: &str,
    condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    look(limit, what, || Ok(()), condition)
}

fn look<T>(
    limit: Duration,
    what: &str,
    go_on: impl Fn() -> Result<()>,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        go_on()?;
        if Instant::now() >= deadline {
            bail!("waited {:.1} s in vain for {what}", limit.as_secs_f64());
        }
        sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_ends_the_wait() {
        let mut left = 3;
        let value = until(Duration::from_secs(5), "three looks", || {
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
