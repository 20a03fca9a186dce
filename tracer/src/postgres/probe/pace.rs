//! When each request is due: at a fixed rate, whatever the answers do.

use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::clock::own_ns;

/// The most requests a second.
pub const MOST: u32 = 1_000;

/// Requests a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(NonZeroU32);

/// A rate that cannot be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no rate: give whole commits a second, from 1 to {MOST}")]
pub struct RateError(String);

impl std::str::FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let rate: Option<NonZeroU32> = text.parse().ok();
        rate.filter(|rate| rate.get() <= MOST)
            .map(Self)
            .ok_or_else(|| RateError(text.escape_debug().to_string()))
    }
}

impl Rate {
    /// Requests a second.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// When a request is due, ns after the beginning.
    #[must_use]
    pub fn due_ns(self, number: u64) -> u64 {
        let due = u128::from(number) * 1_000_000_000 / u128::from(self.get());
        u64::try_from(due).unwrap_or(u64::MAX)
    }
}

/// Wakes at a moment to some ten microseconds, where the event loop's own timers
/// are late by up to a millisecond: as long as a commit may take.
#[derive(Debug)]
pub struct Alarm(AsyncFd<Timer>);

#[derive(Debug)]
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Alarm {
    /// One that is not set. Within the event loop.
    ///
    /// # Errors
    /// If the kernel has no more timers for us.
    pub fn new() -> std::io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = Timer(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?);
        // SAFETY: `Timer` owns its descriptor until it is dropped.
        let alarm = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) };
        Ok(Self(alarm?))
    }

    /// Waits until a moment, ns of `CLOCK_MONOTONIC`; not at all if it has passed.
    ///
    /// # Errors
    /// If the kernel does not take the moment.
    pub async fn at(&mut self, moment_ns: u64) -> std::io::Result<()> {
        let moment_ns = own_ns(moment_ns);
        let spec = TimeSpec::new(
            i64::try_from(moment_ns / 1_000_000_000).unwrap_or(i64::MAX),
            // Below 10⁹.
            (moment_ns % 1_000_000_000) as i64,
        );
        let expiration = Expiration::OneShot(spec);
        let timer = &self.0.get_ref().0;
        timer.set(expiration, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        loop {
            let mut ready = self.0.readable().await?;
            // Readiness may be that of the moment before.
            match ready.get_inner().0.wait() {
                Ok(()) => return Ok(()),
                Err(nix::errno::Errno::EAGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::now_ns;

    #[test]
    fn requests_are_due_at_the_rate_for_ever() {
        let rate: Rate = "3".parse().unwrap();
        assert_eq!(rate.due_ns(0), 0);
        assert_eq!(rate.due_ns(1), 333_333_333);
        assert_eq!(rate.due_ns(3_000_000_000), 1_000_000_000_000_000_000);
    }

    #[test]
    fn a_rate_is_a_whole_number_within_reason() {
        for wrong in ["", "0", "-1", "1001", "1.5", "fast", "\u{1b}"] {
            let message = wrong.parse::<Rate>().unwrap_err().to_string();
            assert!(!message.contains('\u{1b}'), "{message}");
        }
        assert_eq!("1000".parse::<Rate>().unwrap().get(), 1000);
    }

    #[test]
    fn an_alarm_is_never_early() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut alarm = Alarm::new().unwrap();
            for _ in 0..3 {
                let moment = now_ns() + 2_000_000;
                alarm.at(moment).await.unwrap();
                assert!(now_ns() >= moment);
            }
            alarm.at(1).await.unwrap();
        });
    }
}
