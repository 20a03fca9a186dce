//! Flows added up, for those who have more of them than can be read: by peer and port, and
//! by role and program.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::peer_port::PeerPort;
use crate::report::ByKind;
use crate::report::role::Kind;
use crate::report::steps::{self, StepReport};

/// How many flows a report lists, those of replication apart: the size of its file is
/// bounded, however many connections there are.
pub const MAX_LISTED: usize = 500;

/// What flows add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowSums {
    /// How many flows; `null` of what the flow table had no room for.
    pub flows: Option<u64>,
    /// Retransmitted segments: the sum of `by_kind`.
    pub segments: u64,
    /// Calls that sent something.
    pub events: u64,
    /// Retransmitted bytes.
    pub bytes: u64,
    /// Segments that the kernel counted though they failed to leave.
    pub failed_segments: u64,
    /// Segments by kind.
    pub by_kind: ByKind,
}

/// The flows that are not listed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UnlistedFlows {
    /// What they add up to.
    #[serde(flatten)]
    pub sums: FlowSums,
    /// The intervals in which something was retransmitted.
    #[serde(with = "steps")]
    pub series: Vec<StepReport>,
}

/// The flows with one peer that have a port in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerSums {
    /// The peer; `null` of all beyond the first thousand, and of what the flow table had no
    /// room for.
    pub peer: Option<IpAddr>,
    /// The port that they have in common, likewise.
    pub port: Option<u16>,
    /// Whose port that is, likewise.
    pub port_of: Option<PortOf>,
    /// What they add up to.
    #[serde(flatten)]
    pub sums: FlowSums,
}

/// Whose port it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortOf {
    /// The peer's: this host connects to it.
    Peer,
    /// This host's: the peer connects to it.
    ThisHost,
}

/// The flows of programs of one name that are for the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleSums {
    /// What they are for.
    pub role: Kind,
    /// Name of the executable, at most 15 bytes; `null` where it is not known.
    pub comm: Option<String>,
    /// What they add up to.
    #[serde(flatten)]
    pub sums: FlowSums,
}

impl From<PeerPort> for PortOf {
    fn from(port: PeerPort) -> Self {
        match port.is_ours {
            true => Self::ThisHost,
            false => Self::Peer,
        }
    }
}
