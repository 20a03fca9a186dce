//! Whether what was used stayed as it was.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::usage::Usage;
use crate::testbed::quantile::median;

/// By how much memory may be larger at the end: what a report's intervals and the losses of
/// single flows take, of which so many are kept, and the allocator's own unrest. Whatever is
/// lost with each connection, scrape or restart is more in two hours.
const GROWTH_KIB: u64 = 2048;

/// By how many descriptors and threads there may be more: the probe has more connections
/// for a while after commits have hung.
const MORE_DESCRIPTORS: u64 = 8;
const MORE_THREADS: u64 = 1;

#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// From the start.
    pub(super) at: Duration,
    pub(super) usage: Usage,
}

/// Which share of the time in which memory has to be flat is compared at either end.
const SHARE: u32 = 4;

type UsageFigure = fn(&Usage) -> u64;

/// Compares the first and the last quarter of the time after `settled`, by medians.
pub(super) fn check(readings: &[Reading], settled: Duration) -> Result<()> {
    let end = readings.last().context("nothing was read")?.at;
    let part = end.saturating_sub(settled) / SHARE;
    let within = |from: Duration, to: Duration, what: UsageFigure| {
        let there = readings.iter().filter(|one| (from..=to).contains(&one.at));
        median(&there.map(|one| what(&one.usage)).collect::<Vec<_>>())
    };
    let figures: [(&str, &str, u64, UsageFigure); 3] = [
        ("memory", "KiB", GROWTH_KIB, |usage| usage.resident_kib),
        ("descriptors", "descriptors", MORE_DESCRIPTORS, |usage| {
            usage.descriptors
        }),
        ("threads", "threads", MORE_THREADS, |usage| usage.threads),
    ];
    let (mut medians, mut grown) = (Vec::new(), Vec::new());
    for (what, unit, allowed, figure) in figures {
        let first = within(settled, settled + part, figure);
        let last = within(end.saturating_sub(part), end, figure);
        let (first, last) = first.zip(last).context("too short to compare anything")?;
        medians.push(format!("{first} and {last} {unit}"));
        if last > first + allowed {
            grown.push(format!("{what}: {} {unit} more", last - first));
        }
    }
    println!(
        "medians of the first and the last quarter after {:.1} min: {}",
        settled.as_secs_f64() / 60.0,
        medians.join(", ")
    );
    ensure!(grown.is_empty(), "{}", grown.join("; "));
    Ok(())
}

/// About twenty of the readings, the last one among them.
pub(super) fn table(readings: &[Reading]) -> String {
    let mut text = format!(
        "{:>9}  {:>9}  {:>11}  {:>7}\n",
        "minute", "KiB", "descriptors", "threads"
    );
    let step = (readings.len() / 20).max(1);
    for reading in readings.iter().rev().step_by(step).rev() {
        text += &format!(
            "{:>9.1}  {:>9}  {:>11}  {:>7}\n",
            reading.at.as_secs_f64() / 60.0,
            reading.usage.resident_kib,
            reading.usage.descriptors,
            reading.usage.threads
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reading a second for a hundred seconds.
    fn readings(usage: impl Fn(u64) -> Usage) -> Vec<Reading> {
        let reading = |second| Reading {
            at: Duration::from_secs(second),
            usage: usage(second),
        };
        (1..=100).map(reading).collect()
    }

    const FLAT: Usage = Usage {
        resident_kib: 10_000,
        descriptors: 50,
        threads: 3,
    };
    const SETTLED: Duration = Duration::from_secs(20);

    #[test]
    fn what_is_flat_passes_also_with_peaks_and_a_rise_before() {
        let flat = readings(|second| Usage {
            resident_kib: match second {
                0..20 => 1_000 * second,
                90 => 40_000,
                _ => 20_000,
            },
            descriptors: if second % 10 == 0 { 80 } else { 50 },
            ..FLAT
        });
        check(&flat, SETTLED).unwrap();
        assert_eq!(table(&flat).lines().count(), 21);
    }

    #[test]
    fn what_grows_is_named() {
        let memory = readings(|second| Usage {
            resident_kib: 10_000 + 40 * second,
            ..FLAT
        });
        let descriptors = readings(|second| Usage {
            descriptors: 50 + second / 5,
            ..FLAT
        });
        let threads = readings(|second| Usage {
            threads: 3 + second / 25,
            ..FLAT
        });
        for (grows, word) in [
            (memory, "memory"),
            (descriptors, "descriptors"),
            (threads, "threads"),
        ] {
            let error = check(&grows, SETTLED).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        check(&[], SETTLED).unwrap_err();
    }
}
