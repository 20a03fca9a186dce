//! How many packets a fault is for, and how their luck hangs together.

use std::fmt;

use serde::Serialize;
use tracer_core::report::percent::Percent;
use tracer_ebpf::HitChance;

use crate::kernel::tc::{Loss, Probability};

/// By how much one packet's luck depends on the one before, per cent: above 0 and
/// below 100. It is the correlation of neighbours in the sequence of hits, and
/// does not change how many are hit.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Correlation(f64);

impl Correlation {
    /// [`None`] unless a number above 0 and below 100.
    pub(crate) fn new(percent: f64) -> Option<Self> {
        (percent > 0.0 && percent < 100.0).then_some(Self(percent))
    }

    /// From 0 to 1.
    pub(crate) fn fraction(self) -> f64 {
        self.0 / 100.0
    }

    /// As netem takes it where it mixes each random number with the one before.
    pub(crate) fn probability(self) -> Probability {
        Probability::from_fraction(self.fraction())
    }
}

impl fmt::Display for Correlation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}%", self.0)
    }
}

/// A share of the packets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// How many.
    pub percent: Percent,
    /// Whether in bursts.
    pub correlation: Option<Correlation>,
}

impl Share {
    /// Every packet.
    pub(crate) const ALL: Self = Self {
        percent: Percent::ALL,
        correlation: None,
    };

    /// Probability of a hit after a miss, and after a hit. A chain of these two
    /// hits the share of the packets, with the correlation from each to the next.
    fn chain(self) -> [f64; 2] {
        let share = self.percent.fraction();
        let correlation = self.correlation.map_or(0.0, Correlation::fraction);
        [
            share * (1.0 - correlation),
            share + correlation * (1.0 - share),
        ]
    }

    /// As the kernel program draws it.
    pub(crate) fn lot(self) -> HitChance {
        match self.correlation {
            None => HitChance {
                threshold: self.percent.threshold(),
                threshold_after_hit: self.percent.threshold(),
            },
            Some(_) => {
                // From 0 to 2³², and never 0, which would mean that there is no lot.
                let [threshold, threshold_after_hit] = self
                    .chain()
                    .map(|probability| ((probability * 4_294_967_296.0).round() as u64).max(1));
                HitChance {
                    threshold,
                    threshold_after_hit,
                }
            }
        }
    }

    /// As netem loses. Its own correlation of random numbers changes how many are
    /// lost; its model of bursts does not.
    pub(crate) fn loss(self) -> Loss {
        match self.correlation {
            None => Loss::Independent(Probability::from_fraction(self.percent.fraction())),
            Some(_) => {
                let [begins, goes_on] = self.chain();
                Loss::Bursts {
                    begins: Probability::from_fraction(begins),
                    ends: Probability::from_fraction(1.0 - goes_on),
                }
            }
        }
    }

    /// As netem does everything else to a share.
    pub(crate) fn netem(self) -> [Probability; 2] {
        [
            Probability::from_fraction(self.percent.fraction()),
            self.correlation
                .map_or(Probability::default(), Correlation::probability),
        ]
    }

    /// By how much more the number of hits scatters than without correlation:
    /// (1 + c) / (1 − c) for a long sequence.
    pub(crate) fn scatter(self) -> f64 {
        let correlation = self.correlation.map_or(0.0, Correlation::fraction);
        (1.0 + correlation) / (1.0 - correlation)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.percent)?;
        match self.correlation {
            Some(correlation) => write!(formatter, ",correlation={correlation}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(percent: f64, correlation: f64) -> Share {
        Share {
            percent: Percent::new(percent).unwrap(),
            correlation: Correlation::new(correlation),
        }
    }

    #[test]
    fn without_correlation_every_lot_is_the_same() {
        let lot = share(50.0, 0.0).lot();
        assert_eq!((lot.threshold, lot.threshold_after_hit), (1 << 31, 1 << 31));
        assert_eq!(Share::ALL.lot().threshold, 1 << 32);
    }

    #[test]
    fn the_chain_hits_the_share_whatever_the_correlation() {
        for (percent, correlation) in [(10.0, 25.0), (50.0, 90.0), (1.0, 99.0), (90.0, 50.0)] {
            let [after_miss, after_hit] = share(percent, correlation).chain();
            // Its stationary distribution, and its second eigenvalue.
            let hits = after_miss / (after_miss + 1.0 - after_hit);
            assert!((hits - percent / 100.0).abs() < 1e-12);
            assert!((after_hit - after_miss - correlation / 100.0).abs() < 1e-12);
        }
        assert!((share(50.0, 50.0).scatter() - 3.0).abs() < 1e-12);
    }

    #[test]
    fn no_correlation_is_above_its_bounds() {
        for value in [0.0, -1.0, 100.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Correlation::new(value), None, "{value}");
        }
    }
}
