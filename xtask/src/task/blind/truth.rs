//! What may be said of a fault.

use tracer_core::report::finding::Cause;

use super::fault::Broken;
use crate::testbed::wire::Harm;

/// A queue that loses nothing of what commits send.
const DEEP_BYTES: u64 = 100_000;

/// The causes that name it, as the primary's host sees it, and as both do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Truth {
    pub(super) primary: Vec<Cause>,
    pub(super) merged: Vec<Cause>,
    /// Whether it is on the way between the hosts.
    pub(super) is_network: bool,
}

impl Truth {
    pub(super) fn of(broken: Broken) -> Self {
        use Cause::{
            DamageOfReplies, DamageTowardStandby, LockWaits, LossOfReplies, LossTowardStandby,
            NotTheNetwork, Partition, StandbyApply, StandbyFlush, StandbyGone, StandbyNotReplying,
            WalFlush,
        };
        match broken {
            Broken::Log(Harm::Damage { .. }) => Self {
                // What the standby's kernel discards, the primary sees lost.
                primary: vec![LossTowardStandby],
                ..Self::network([DamageTowardStandby])
            },
            Broken::Replies(Harm::Damage { .. }) => Self::network([DamageOfReplies]),
            Broken::Both(Harm::Damage { .. }) => Self {
                primary: vec![LossTowardStandby, DamageOfReplies],
                ..Self::network([DamageTowardStandby, DamageOfReplies])
            },
            Broken::Both(Harm::Cut) => Self::network([Partition]),
            Broken::Log(Harm::Cut | Harm::Larger { .. }) => {
                Self::network([LossTowardStandby, Partition])
            }
            Broken::Replies(Harm::Cut) => Self::network([LossOfReplies, Partition]),
            Broken::Log(harm) => Self::way([LossTowardStandby], harm),
            Broken::Replies(harm) => Self::way([LossOfReplies], harm),
            Broken::Both(harm) => Self::way([LossTowardStandby, LossOfReplies], harm),
            Broken::StandbyDisk(_) => Self::server(StandbyFlush),
            // For less than a second at a time the primary cannot tell it from a disk.
            Broken::StandbyReceiver(_) => Self {
                primary: vec![StandbyNotReplying, NotTheNetwork],
                ..Self::server(StandbyNotReplying)
            },
            Broken::StandbyReplay => Self::server(StandbyApply),
            Broken::StandbyGone => Self::server(StandbyGone),
            Broken::PrimaryDisk(_) => Self::server(WalFlush),
            Broken::Lock => Self::server(LockWaits),
            Broken::Nothing => Self {
                primary: Vec::new(),
                merged: Vec::new(),
                is_network: false,
            },
        }
    }

    /// What loses is named by `lost`; what only delays is not.
    fn way<const N: usize>(lost: [Cause; N], harm: Harm) -> Self {
        match harm {
            Harm::Delay { .. } => Self::network([Cause::NetworkDelay]),
            // What holds everything and loses nothing: for that long nothing comes through.
            Harm::Hold { .. } => Self::network([Cause::NetworkDelay, Cause::Partition]),
            Harm::Rate { queue_bytes, .. } if queue_bytes > DEEP_BYTES => {
                Self::network([Cause::NetworkDelay])
            }
            Harm::Rate { .. } => Self::network(lost.into_iter().chain([Cause::NetworkDelay])),
            _ => Self::network(lost),
        }
    }

    /// On the way between the hosts, named so by either.
    fn network(causes: impl IntoIterator<Item = Cause>) -> Self {
        let causes: Vec<Cause> = causes.into_iter().collect();
        Self {
            primary: causes.clone(),
            merged: causes,
            is_network: true,
        }
    }

    /// On one of the servers.
    fn server(cause: Cause) -> Self {
        Self {
            is_network: false,
            ..Self::network([cause])
        }
    }
}
