//! How long most of something took.

use serde::{Deserialize, Serialize};

/// Quantiles of lengths of time; `null` where there were none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Median.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// Largest.
    pub max_ms: Option<f64>,
}

impl Quantiles {
    /// From what gives any quantile, and from the largest.
    pub(crate) fn of(at: impl Fn(f64) -> Option<f64>, max_ms: Option<f64>) -> Self {
        Self {
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms,
        }
    }

    pub(crate) fn each(&self) -> [Option<f64>; 4] {
        [self.p50_ms, self.p95_ms, self.p99_ms, self.max_ms]
    }
}
