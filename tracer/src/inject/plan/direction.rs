//! Which way the packets go that a fault is for.

use std::fmt;

use serde::{Deserialize, Serialize};
use tracer_ebpf::Direction;

/// As seen from this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Directions {
    /// To the peers
    Out,
    /// From the peers
    In,
    /// Both ways
    Both,
}

impl Directions {
    /// The ways that it means.
    pub(crate) const fn ways(self) -> &'static [Direction] {
        match self {
            Self::Out => &[Direction::Egress],
            Self::In => &[Direction::Ingress],
            Self::Both => &[Direction::Egress, Direction::Ingress],
        }
    }

    /// Whether it means this way.
    pub(crate) fn has(self, way: Direction) -> bool {
        self.ways().contains(&way)
    }
}

impl fmt::Display for Directions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Out => "out",
            Self::In => "in",
            Self::Both => "both",
        })
    }
}

/// As reported.
pub(crate) const fn name(way: Direction) -> &'static str {
    match way {
        Direction::Egress => "out",
        Direction::Ingress => "in",
    }
}
