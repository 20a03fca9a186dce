//! The length of a jiffy, in which the kernel keeps its timers.

use nix::time::{ClockId, clock_getres};

/// Nanoseconds of a jiffy: 10⁹ / `CONFIG_HZ`.
///
/// The resolution of the coarse clocks is `KTIME_LOW_RES`, which is `TICK_NSEC`
/// (`posix_get_coarse_res()` in
/// <https://elixir.bootlin.com/linux/v6.18/source/kernel/time/posix-timers.c>);
/// `sysconf(_SC_CLK_TCK)` is not the tick but always 100.
///
/// # Errors
/// Never on Linux since 2.6.32, which has the clock.
pub(crate) fn jiffy_ns() -> nix::Result<u64> {
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE)?;
    Ok(tick.tv_sec().unsigned_abs() * 1_000_000_000 + tick.tv_nsec().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jiffy_is_one_of_the_ticks_that_kernels_are_built_with() {
        let jiffy = jiffy_ns().expect("clock");
        let hz = 1_000_000_000_f64 / jiffy as f64;
        let known = [100.0, 250.0, 300.0, 1000.0, 1024.0];
        assert!(known.iter().any(|k| (k - hz).abs() < 0.01), "{hz}");
    }
}
