//! What waits for a standby were made of.

use serde::{Deserialize, Serialize};

use crate::report::endpoint::Endpoint;
use crate::report::exchanges::ExchangesReport;
use crate::report::histogram::PartQuantiles;

/// A stage of a wait, as the primary alone sees it. The discriminant indexes the arrays of
/// [`crate::recording::stage::WaitStages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Until the walsender takes the WAL to send it: this host's processor, or what was to be
    /// sent before.
    Handover = 0,
    /// From there until the standby's host has acknowledged it: the network there and back,
    /// and what is to be sent before it.
    Acknowledged = 1,
    /// From there until the reply has arrived that releases it: the standby, and the way
    /// back.
    Remote = 2,
    /// From there until the walsender has read the reply: this host's processor.
    Release = 3,
    /// From there until the backend goes on: likewise.
    Wakeup = 4,
    /// What could not be seen.
    Unexplained = 5,
}

impl Stage {
    /// How many there are.
    pub const COUNT: usize = 6;
    /// All of them, in the order in which they come.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Handover,
        Self::Acknowledged,
        Self::Remote,
        Self::Release,
        Self::Wakeup,
        Self::Unexplained,
    ];

    /// As it is called in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handover => "handover",
            Self::Acknowledged => "acknowledged",
            Self::Remote => "remote",
            Self::Release => "release",
            Self::Wakeup => "wakeup",
            Self::Unexplained => "unexplained",
        }
    }
}

/// What a commit waited for on a standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AwaitedPosition {
    /// That its WAL is written (`synchronous_commit = remote_write`).
    Write,
    /// That it is flushed (`on`).
    Flush,
    /// That it is replayed (`remote_apply`).
    Apply,
}

impl AwaitedPosition {
    /// All of them, in the order of `WalSndCtl->lsn`.
    pub(crate) const ALL: [Self; 3] = [Self::Write, Self::Flush, Self::Apply];
}

/// One of something for each stage, in the order in which they come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ByStage<T> {
    /// Until the walsender takes the WAL to send it: this host's processor, or what was to be
    /// sent before.
    pub handover: T,
    /// From there until the standby's host has acknowledged it: the network, there and back.
    /// A delayed acknowledgement adds up to 40 ms.
    pub acknowledged: T,
    /// From there until the reply has arrived that ends the wait: the standby, and the way
    /// back. Nothing of it where that reply is also the acknowledgement.
    pub remote: T,
    /// From there until the walsender has read the reply: this host's processor.
    pub release: T,
    /// From there until the backend goes on: likewise.
    pub wakeup: T,
    /// What could not be seen.
    pub unexplained: T,
}

impl<T> ByStage<T> {
    /// Each by its stage.
    pub(crate) fn new(mut of: impl FnMut(Stage) -> T) -> Self {
        Self {
            handover: of(Stage::Handover),
            acknowledged: of(Stage::Acknowledged),
            remote: of(Stage::Remote),
            release: of(Stage::Release),
            wakeup: of(Stage::Wakeup),
            unexplained: of(Stage::Unexplained),
        }
    }

    /// That of one stage.
    #[must_use]
    pub const fn of(&self, stage: Stage) -> &T {
        match stage {
            Stage::Handover => &self.handover,
            Stage::Acknowledged => &self.acknowledged,
            Stage::Remote => &self.remote,
            Stage::Release => &self.release,
            Stage::Wakeup => &self.wakeup,
            Stage::Unexplained => &self.unexplained,
        }
    }
}

/// The waits of a server's commits, from the walsender that sent their WAL to the reply that
/// ended them. Waits under 10 µs found their WAL confirmed already, and are in none.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StagesReport {
    /// Whether waits were followed.
    pub measured: bool,
    /// If not, why.
    pub reason: Option<String>,
    /// By the standby whose reply ended them: where several are awaited, the last of those
    /// that were needed.
    pub standbys: Vec<StandbyStages>,
    /// Waits that no standby's reply was found for.
    pub unreleased: u64,
    /// How long they took together: in no stage.
    pub unreleased_ms: f64,
    /// Of all that was waited the share that is in no stage; `null` if nobody waited.
    pub unexplained_share: Option<f64>,
}

/// Waits that the replies of one standby ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StandbyStages {
    /// Its walsender: of one that connected again, the last.
    pub walsender_pid: u32,
    /// The standby's end of its connection.
    pub remote: Endpoint,
    /// Whether it takes decoded changes (logical replication): what is sent when is not known
    /// then.
    pub logical: bool,
    /// How many waits.
    pub waits: u64,
    /// How long they took together.
    pub waited_ms: f64,
    /// Each stage.
    pub stages: ByStage<StageReport>,
    /// Some messages and replies of its last connection, by which the clocks of the two hosts can
    /// be compared.
    #[serde(default)]
    pub exchanges: ExchangesReport,
}

/// One stage of many waits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageReport {
    /// How long it took.
    #[serde(flatten)]
    pub took: PartQuantiles,
    /// Its share of all that was waited for this standby; `null` if that is nothing.
    pub share: Option<f64>,
    /// The same of slow commits alone.
    pub slow_share: Option<f64>,
}

/// What happened to a segment that arrived with a bad checksum, in [`CommitEvent::what`].
pub const BAD_CHECKSUM: &str = "bad_checksum";

/// Something that happened on the wire while a commit waited, or a message was on its way through
/// a standby.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitEvent {
    /// When, from the beginning of the commit, or from the arrival of the message.
    pub after_ms: f64,
    /// How a segment was retransmitted, as in `flows[].by_kind`, or `bad_checksum` of one that
    /// arrived from the other end so.
    pub what: String,
    /// How many segments.
    pub segments: u32,
    /// How long the timer had run that retransmitted it; `null` if none did.
    pub timeout_ms: Option<f64>,
}
