//! What may be said of a fault.

use tracer_core::report::finding::Cause;

use super::fault::Broken;
use crate::testbed::wire::Harm;

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
        let network = |primary: &[Cause], merged: &[Cause]| Self {
            primary: primary.to_vec(),
            merged: merged.to_vec(),
            is_network: true,
        };
        let server = |cause: Cause| Self {
            primary: vec![cause],
            merged: vec![cause],
            is_network: false,
        };
        let (log, replies) = (Cause::LossTowardStandby, Cause::LossOfReplies);
        match broken {
            Broken::Log(Harm::Damage { .. }) => network(&[log], &[Cause::DamageTowardStandby]),
            Broken::Replies(Harm::Damage { .. }) => {
                network(&[Cause::DamageOfReplies], &[Cause::DamageOfReplies])
            }
            Broken::Both(Harm::Damage { .. }) => network(
                &[log, Cause::DamageOfReplies],
                &[Cause::DamageTowardStandby, Cause::DamageOfReplies],
            ),
            Broken::Both(Harm::Cut) => network(&[Cause::Partition], &[Cause::Partition]),
            Broken::Log(Harm::Cut) => network(&[log, Cause::Partition], &[log, Cause::Partition]),
            Broken::Replies(Harm::Cut) => {
                network(&[replies, Cause::Partition], &[replies, Cause::Partition])
            }
            Broken::Log(harm) | Broken::Replies(harm) | Broken::Both(harm) => {
                let causes: Vec<Cause> = match harm {
                    Harm::Delay { .. } => vec![Cause::NetworkDelay],
                    // What holds everything and loses nothing: for that long nothing comes
                    // through.
                    Harm::Hold { .. } => vec![Cause::NetworkDelay, Cause::Partition],
                    Harm::Rate { queue_bytes, .. } if queue_bytes > 100_000 => {
                        vec![Cause::NetworkDelay]
                    }
                    Harm::Rate { .. } => vec![log, Cause::NetworkDelay],
                    Harm::Larger { .. } => vec![log, Cause::Partition],
                    _ => match broken {
                        Broken::Log(_) => vec![log],
                        Broken::Replies(_) => vec![replies],
                        _ => vec![log, replies],
                    },
                };
                network(&causes, &causes)
            }
            Broken::StandbyDisk(_) => server(Cause::StandbyFlush),
            // For less than a second at a time the primary cannot tell it from a disk.
            Broken::StandbyReceiver(_) => Self {
                primary: vec![Cause::StandbyNotReplying, Cause::NotTheNetwork],
                ..server(Cause::StandbyNotReplying)
            },
            Broken::StandbyReplay => server(Cause::StandbyApply),
            Broken::StandbyGone => server(Cause::StandbyGone),
            Broken::PrimaryDisk(_) => server(Cause::WalFlush),
            Broken::Lock => server(Cause::LockWaits),
            Broken::Nothing => Self {
                primary: Vec::new(),
                merged: Vec::new(),
                is_network: false,
            },
        }
    }
}

/// Whether a cause blames the way between two hosts.
pub(super) fn blames_network(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::LossTowardStandby
            | Cause::DamageTowardStandby
            | Cause::LossOfReplies
            | Cause::DamageOfReplies
            | Cause::Partition
            | Cause::NetworkDelay
    )
}
