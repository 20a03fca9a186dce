//! The direction of the packets that a fault is for.

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
    /// Each of them.
    pub(crate) const fn each(self) -> &'static [Direction] {
        match self {
            Self::Out => &[Direction::Egress],
            Self::In => &[Direction::Ingress],
            Self::Both => &[Direction::Egress, Direction::Ingress],
        }
    }

    /// Whether it includes this one.
    pub(crate) fn has(self, direction: Direction) -> bool {
        self.each().contains(&direction)
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
pub(crate) const fn name(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "out",
        Direction::Ingress => "in",
    }
}
