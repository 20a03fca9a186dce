//! What was found: a sentence, its cause, its size, and where in the report to look.

use serde::{Deserialize, Serialize};

/// Why commits were slow, or are in danger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// What the primary sends to its standby is lost on the way.
    LossTowardStandby,
    /// What the primary sends arrives with a bad checksum at the standby.
    DamageTowardStandby,
    /// What the standby replies is lost on the way.
    LossOfReplies,
    /// What the standby replies arrives with a bad checksum at the primary.
    DamageOfReplies,
    /// Nothing arrives from the other side, whatever is sent to it.
    Partition,
    /// Nothing is lost, and a round trip takes a good part of what a commit takes.
    NetworkDelay,
    /// The standby is connected and does not reply.
    StandbyNotReplying,
    /// The standby has the WAL and is slow to bring it to its disk.
    StandbyFlush,
    /// The standby has the WAL on its disk and is slow to apply it.
    StandbyApply,
    /// Commits wait for a standby that is not there.
    StandbyGone,
    /// The primary's own disk is slow to take the WAL.
    WalFlush,
    /// A server is ready to run and has no processor.
    CpuStarvation,
    /// Transactions wait for each other.
    LockWaits,
    /// Commits do not wait for the standby though it is there.
    SyncWaitOff,
    /// Nobody answers at a service that this host connects to.
    PeerNotAnswering,
    /// A good part of what is sent to a peer is retransmitted.
    PeerLosing,
    /// Slow, and it was not the network.
    NotTheNetwork,
    /// Slow, and the data do not show why.
    NotDetermined,
}

impl Cause {
    /// All of them; `NotDetermined` stays the last.
    pub const ALL: [Self; Self::NotDetermined as usize + 1] = [
        Self::LossTowardStandby,
        Self::DamageTowardStandby,
        Self::LossOfReplies,
        Self::DamageOfReplies,
        Self::Partition,
        Self::NetworkDelay,
        Self::StandbyNotReplying,
        Self::StandbyFlush,
        Self::StandbyApply,
        Self::StandbyGone,
        Self::WalFlush,
        Self::CpuStarvation,
        Self::LockWaits,
        Self::SyncWaitOff,
        Self::PeerNotAnswering,
        Self::PeerLosing,
        Self::NotTheNetwork,
        Self::NotDetermined,
    ];

    /// Whether it blames the network between a primary and its standby.
    #[must_use]
    pub const fn is_network(self) -> bool {
        self.is_loss() || matches!(self, Self::NetworkDelay)
    }

    /// Whether it says that segments did not arrive whole between a primary and its standby.
    pub(crate) const fn is_loss(self) -> bool {
        self.way().is_some() || matches!(self, Self::Partition)
    }

    /// Which way the segments went that were lost or corrupted.
    pub(crate) const fn way(self) -> Option<Way> {
        match self {
            Self::LossTowardStandby | Self::DamageTowardStandby => Some(Way::ToStandby),
            Self::LossOfReplies | Self::DamageOfReplies => Some(Way::FromStandby),
            _ => None,
        }
    }
}

/// One of the two ways between a primary and its standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToStandby,
    FromStandby,
}

/// How sure that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The data agree with it; they do with other causes, too.
    Low,
    /// It explains a good part.
    Medium,
    /// It explains most, and nothing contradicts.
    High,
}

/// How much of it there was; `null` where that does not apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Size {
    /// For how long it was seen.
    pub duration_s: Option<f64>,
    /// Time that backends have waited meanwhile, all of them together, as the samples
    /// show it.
    pub waited_s: Option<f64>,
    /// The most of them at once.
    pub waiters_max: Option<u32>,
    /// How much of all time that backends waited for a standby this explains.
    pub explained_percent: Option<f64>,
    /// Segments retransmitted, or arrived with a bad checksum.
    pub segments: Option<u64>,
    /// How often the timeout doubled in a row, at most.
    pub rto_doublings: Option<u32>,
    /// The largest timeout.
    pub rto_max_ms: Option<f64>,
    /// For how long no reply came, at most.
    pub silent_s: Option<f64>,
    /// How long a round trip took, smoothed, at most.
    pub round_trip_ms: Option<f64>,
    /// For how long processes of the server were ready to run and had no processor, all
    /// of them together.
    pub starved_s: Option<f64>,
    /// How much of all time in which commits were slow a server had no processor.
    pub starved_percent: Option<f64>,
    /// The slowest of the probe's commits, those in flight included.
    pub commit_max_ms: Option<f64>,
    /// WAL that the standby had not flushed, at most; below zero, at least.
    pub lag_bytes: Option<i64>,
}

/// How the end of a finding begins of which this host does not know who waited for it.
pub(crate) const WHETHER_COMMITS_WAITED: &str = "; whether commits waited ";
/// That end.
pub(crate) const NOBODY_SHOWED_WHO_WAITS: &str = "; whether commits waited because of it is not seen on this host: that takes --pg or --commits on the primary.";

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// In a sentence.
    pub text: String,
    /// Why.
    pub cause: Cause,
    /// How sure.
    pub confidence: Confidence,
    /// How much.
    pub size: Size,
    /// Where in this report to look: JSON pointers.
    pub evidence: Vec<String>,
}
