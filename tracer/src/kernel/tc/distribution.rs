//! How delays scatter around their mean.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Entries of a table, of which netem picks one at random for each packet.
const ENTRIES: u32 = 4096;
/// What one standard deviation is in a table (`NETEM_DIST_SCALE`).
const SCALE: f64 = 8192.0;

/// A shape; the jitter is its standard deviation. What is further than four of
/// them from the mean comes at four, which the kernel's tables end at. Without a
/// shape, delays scatter evenly within the jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// The bell curve.
    Normal,
    /// Most are near, few are far later: Pareto's with the shape 3.
    Pareto,
}

impl Distribution {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Normal, Self::Pareto];

    /// As typed and as reported.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Pareto => "pareto",
        }
    }

    /// Its quantiles in standard deviations from the mean, times 8192, as
    /// [`tabledist`](https://github.com/torvalds/linux/blob/v6.18/net/sched/sch_netem.c)
    /// reads them. Four deviations are the most that an entry holds.
    pub(super) fn table(self) -> Vec<i16> {
        (0..ENTRIES)
            .map(|entry| (f64::from(entry) + 0.5) / f64::from(ENTRIES))
            .map(|share| match self {
                Self::Normal => normal(share),
                Self::Pareto => pareto(share),
            })
            // Saturates.
            .map(|deviations| (deviations * SCALE).round() as i16)
            .collect()
    }
}

/// The quantile of the standard normal distribution, by halving an interval in
/// which it is for every entry of a table.
fn normal(share: f64) -> f64 {
    let below = |deviations: f64| 0.5 * libm::erfc(-deviations / std::f64::consts::SQRT_2);
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..48 {
        let middle = 0.5 * (low + high);
        if below(middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// The quantile of Pareto's distribution with the shape 3 and the least value 1,
/// whose mean is 3/2 and whose variance is 3/4.
fn pareto(share: f64) -> f64 {
    ((1.0 - share).powf(-1.0 / 3.0) - 1.5) / 0.75_f64.sqrt()
}

impl fmt::Display for Distribution {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Distribution {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_deviation(distribution: Distribution) -> (f64, f64) {
        let table = distribution.table();
        let count = table.len() as f64;
        let values: Vec<f64> = table.iter().map(|v| f64::from(*v) / SCALE).collect();
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }

    #[test]
    fn tables_scatter_around_0_by_1() {
        let (mean, deviation) = mean_and_deviation(Distribution::Normal);
        assert!(mean.abs() < 0.001 && (deviation - 1.0).abs() < 0.001);
        // A quarter of it is made by the few that are cut.
        let (mean, deviation) = mean_and_deviation(Distribution::Pareto);
        assert!(mean.abs() < 0.06 && (0.70..0.80).contains(&deviation));
    }

    #[test]
    fn known_quantiles() {
        assert!((normal(0.975) - 1.959_964).abs() < 1e-6);
        assert!(normal(0.5).abs() < 1e-9);
        assert!((pareto(0.5) - (2_f64.cbrt() - 1.5) / 0.75_f64.sqrt()).abs() < 1e-9);
    }
}
