//! When each request is due: at a fixed rate, whatever the answers do.

use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::kernel::clock::own_ns;

/// Wakes at a moment to some ten microseconds, where the event loop's own timers
/// are late by up to a millisecond: as long as a commit may take.
#[derive(Debug)]
pub(crate) struct PaceTimer(AsyncFd<Timer>);

#[derive(Debug)]
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl PaceTimer {
    /// One that is not set. Within the event loop.
    pub(crate) fn new() -> std::io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = Timer(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?);
        // SAFETY: `Timer` owns its descriptor until it is dropped.
        let alarm = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) };
        Ok(Self(alarm?))
    }

    /// Waits until a moment, ns of `CLOCK_MONOTONIC`; not at all if it has passed.
    pub(crate) async fn at(&mut self, moment_ns: u64) -> std::io::Result<()> {
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
    use crate::kernel::clock::now_ns;

    #[test]
    fn an_alarm_is_never_early() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut alarm = PaceTimer::new().unwrap();
            for _ in 0..3 {
                let moment = now_ns() + 2_000_000;
                alarm.at(moment).await.unwrap();
                assert!(now_ns() >= moment);
            }
            alarm.at(1).await.unwrap();
        });
    }
}
