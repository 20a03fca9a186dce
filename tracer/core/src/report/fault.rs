//! What a fault did: an element of `faults` in the report.

pub mod sentences;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::report::percent::Percent;
use crate::report::whereabouts::Whereabouts;

/// What a fault does to a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// It is corrupted, so that the receiver's checksum finds it.
    Corrupt,
    /// It is lost.
    #[default]
    Loss,
    /// It is late.
    Delay,
    /// It goes twice.
    Duplicate,
    /// It overtakes those that are late.
    Reorder,
    /// It waits for a slow link.
    Rate,
    /// It is lost, as are all others.
    Partition,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Corrupt,
        Self::Loss,
        Self::Delay,
        Self::Duplicate,
        Self::Reorder,
        Self::Rate,
        Self::Partition,
    ];

    /// As typed and as reported.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Corrupt => "corrupt",
            Self::Loss => "loss",
            Self::Delay => "delay",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::Rate => "rate",
            Self::Partition => "partition",
        }
    }

    /// How it may be written.
    #[must_use]
    pub const fn example(self) -> &'static str {
        match self {
            Self::Corrupt => "corrupt=50%",
            Self::Loss => "loss=10%",
            Self::Delay => "delay=100ms",
            Self::Duplicate => "duplicate=1%",
            Self::Reorder => "reorder=25%",
            Self::Rate => "rate=10mbit",
            Self::Partition => "partition",
        }
    }

    /// Whether it is done to a share of the packets.
    #[must_use]
    pub const fn has_share(self) -> bool {
        matches!(
            self,
            Self::Corrupt | Self::Loss | Self::Duplicate | Self::Reorder
        )
    }
}

/// The device computes the checksum. `tx-checksum-sctp` and
/// `tx-checksum-fcoe-crc` are others' protocols.
pub const CHECKSUM_OFFLOADS: [&str; 3] = [
    "tx-checksum-ipv4",
    "tx-checksum-ip-generic",
    "tx-checksum-ipv6",
];

/// What was asked, done and undone. Times are ns of `CLOCK_MONOTONIC`, which
/// the caller converts with its clock; what was not measured is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultReport {
    /// What was done to packets.
    pub kind: FaultKind,
    /// How many of the packets were to be hit; null for a delay and a rate.
    pub percent: Option<Percent>,
    /// By how much a packet's luck depended on the one before, per cent.
    pub correlation: Option<f64>,
    /// How late packets were to be, on average.
    pub delay_ms: Option<f64>,
    /// By how much that was to vary.
    pub jitter_ms: Option<f64>,
    /// How it was to vary; null for evenly, or not at all.
    pub distribution: Option<Cow<'static, str>>,
    /// Bits a second that were to pass.
    pub rate_bits: Option<u64>,
    /// Where the random numbers began; null for the kernel's own.
    pub seed: Option<u64>,
    /// Addresses or networks, as given.
    pub peers: Vec<String>,
    /// Ports that the fault was limited to; empty for all.
    pub ports: Vec<u16>,
    /// Name of the interface.
    pub interface: String,
    /// Names of interfaces by which the peers were reached as well when it began, and
    /// where nothing was hit.
    #[serde(default)]
    pub other_interfaces: Vec<String>,
    /// `out`: packets that leave this host; `in`: those that arrive.
    pub direction: Cow<'static, str>,
    /// `bpf` or `netem`
    pub engine: Cow<'static, str>,
    /// What the program hung on: `tcx`, `clsact` or `prio`.
    pub hook: Cow<'static, str>,
    /// What was corrupted; null where nothing was.
    pub damaged: Option<Cow<'static, str>>,
    /// When the first packet could be hit.
    pub started_ns: u64,
    /// When the last packet could be hit.
    pub ended_ns: u64,
    /// Segments on the wire that were for (or from) the peers.
    pub seen: Option<u64>,
    /// Those that were hit.
    pub hit: Option<u64>,
    /// Bytes of the packets that were hit, headers included.
    pub bytes: Option<u64>,
    /// Packets of the peers that this fault leaves alone.
    pub passed: Option<u64>,
    /// `hit` of `seen` in per cent; null if nothing was seen, and if what was corrupted may
    /// have been repaired on its way.
    pub delivered_percent: Option<f64>,
    /// The least and the most hits that chance explains (99.999 %); null if
    /// nothing was seen or what was corrupted may have been repaired, and where netem draws its
    /// lots in a manner that is not known to keep to the share (with a correlation).
    pub expected_hits: Option<[u64; 2]>,
    /// Features of the interface that were off while the fault lasted.
    pub offloads_changed: Vec<String>,
    /// Features that the fault needs off and that somebody switched on again while it
    /// lasted, as far as that was seen: once a second, and at its end. Empty in a report
    /// of a version that did not check.
    #[serde(default)]
    pub offloads_on_again: Vec<String>,
    /// When that was first seen, ms from the start of the fault; null if it was not.
    #[serde(default)]
    pub offloads_on_again_ms: Option<f64>,
    /// Whether the fault was ended because its guard was gone, the process that undoes it
    /// if tracer is killed.
    #[serde(default)]
    pub guard_gone: bool,
    /// Queueing disciplines of the interface before.
    pub qdiscs_before: Vec<Qdisc>,
    /// The same after; null if they could not be read, or the interface was gone.
    pub qdiscs_after: Option<Vec<Qdisc>>,
    /// What became of the interface meanwhile; null in a report of a version that did
    /// not look.
    #[serde(default)]
    pub interface_now: Option<Whereabouts>,
    /// True only if the kernel confirmed that the program is gone and every
    /// feature, queueing discipline and filter of the interface is as it was. What
    /// was on an interface that is gone is gone with it; one that is in another
    /// namespace has its features as they were there, and nothing of ours.
    pub removed: bool,
    /// What could not be undone, with the command that does.
    pub left_behind: Option<String>,
}

/// A queueing discipline, as `tc qdisc show` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qdisc {
    /// Its kind.
    pub kind: String,
    /// Its handle; `0:` if the kernel put it there by itself.
    pub handle: String,
    /// What it hangs on.
    pub parent: String,
}

impl FaultReport {
    /// One that nothing is known of but its kind.
    pub fn unmeasured(kind: FaultKind) -> Self {
        Self {
            kind,
            direction: "out".into(),
            engine: "bpf".into(),
            hook: "tcx".into(),
            started_ns: 1,
            ended_ns: 2,
            interface_now: Some(Whereabouts::AsBefore),
            removed: true,
            ..Self::default()
        }
    }

    /// Whether checksums that were corrupted may have been repaired before they left.
    pub fn may_be_repaired(&self) -> bool {
        let repairs = |name: &String| CHECKSUM_OFFLOADS.contains(&name.as_str());
        self.kind == FaultKind::Corrupt && self.offloads_on_again.iter().any(repairs)
    }

    /// Whether the delivered share is further from the requested one than
    /// chance explains (99.999 %): then the counts or the fault are not to be
    /// trusted.
    #[must_use]
    pub fn is_off(&self) -> bool {
        match (self.hit, self.expected_hits) {
            (Some(hit), Some([least, most])) => hit < least || hit > most,
            _ => false,
        }
    }
}
