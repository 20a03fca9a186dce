//! Which way the packets go that a fault is for.

use std::fmt;

use serde::{Deserialize, Serialize};
use tracer_ebpf::Way;

/// As seen from this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To the peers
    Out,
    /// From the peers
    In,
    /// Both ways
    Both,
}

impl Direction {
    /// The ways that it means.
    #[must_use]
    pub const fn ways(self) -> &'static [Way] {
        match self {
            Self::Out => &[Way::Out],
            Self::In => &[Way::In],
            Self::Both => &[Way::Out, Way::In],
        }
    }

    /// Whether it means this way.
    #[must_use]
    pub fn has(self, way: Way) -> bool {
        self.ways().contains(&way)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Out => "out",
            Self::In => "in",
            Self::Both => "both",
        })
    }
}

/// As reported.
pub(super) const fn name(way: Way) -> &'static str {
    match way {
        Way::Out => "out",
        Way::In => "in",
    }
}
