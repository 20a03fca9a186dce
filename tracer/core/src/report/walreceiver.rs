//! What became of WAL that arrived at a standby on this host.

use serde::{Deserialize, Serialize};

use crate::report::endpoint::Endpoint;
use crate::report::exchanges::ExchangesReport;
use crate::report::histogram::PartQuantiles;
use crate::report::hook::HookReport;
use crate::report::stages::CommitEvent;

/// A stage of WAL on its way through a standby. The discriminant indexes the arrays of
/// [`crate::recording::receiver_tracker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiverStage {
    /// From the segment that brought the end of a message until the walreceiver had read it,
    /// but for flushes meanwhile: this host's processor.
    Read = 0,
    /// From there until the walreceiver began to flush, or had replied if it flushed nothing:
    /// it writes to the file system's cache, and reads what else has come.
    Write = 1,
    /// The flush, and those of what came before for which it had to wait: this host's disk.
    Flush = 2,
    /// From there until the reply was sent that says so: this host's processor.
    Reply = 3,
    /// From there until the primary's host had acknowledged that reply: the network, there and
    /// back.
    Acknowledged = 4,
    /// From the end of the flush until a reply said that it was replayed: the startup process.
    Apply = 5,
}

impl ReceiverStage {
    /// How many there are.
    pub const COUNT: usize = 6;
    /// All of them.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Read,
        Self::Write,
        Self::Flush,
        Self::Reply,
        Self::Acknowledged,
        Self::Apply,
    ];

    /// As it is called in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Reply => "reply",
            Self::Acknowledged => "acknowledged",
            Self::Apply => "apply",
        }
    }
}

/// One of something for each stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ByReceiverStage<T> {
    /// From the segment that brought the end of a message until the walreceiver had read it,
    /// but for flushes meanwhile: this host's processor.
    pub read: T,
    /// From there until the walreceiver began to flush, or had replied if it flushed nothing.
    pub write: T,
    /// The flush, and those of what came before for which it had to wait: this host's disk.
    pub flush: T,
    /// From there until the reply was sent that says so: this host's processor.
    pub reply: T,
    /// From there until the primary's host had acknowledged that reply: the network, there and
    /// back. A delayed acknowledgement adds up to 40 ms.
    pub acknowledged: T,
    /// From the end of the flush until a reply said that it was replayed: the startup process.
    pub apply: T,
}

impl<T> ByReceiverStage<T> {
    /// Each by its stage.
    pub(crate) fn new(mut of: impl FnMut(ReceiverStage) -> T) -> Self {
        Self {
            read: of(ReceiverStage::Read),
            write: of(ReceiverStage::Write),
            flush: of(ReceiverStage::Flush),
            reply: of(ReceiverStage::Reply),
            acknowledged: of(ReceiverStage::Acknowledged),
            apply: of(ReceiverStage::Apply),
        }
    }

    /// That of one stage.
    #[must_use]
    pub const fn of(&self, stage: ReceiverStage) -> &T {
        match stage {
            ReceiverStage::Read => &self.read,
            ReceiverStage::Write => &self.write,
            ReceiverStage::Flush => &self.flush,
            ReceiverStage::Reply => &self.reply,
            ReceiverStage::Acknowledged => &self.acknowledged,
            ReceiverStage::Apply => &self.apply,
        }
    }
}

/// WAL that a standby's walreceiver has received.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WalreceiverReport {
    /// The standby's first process, as in `servers[].pid`.
    pub server_pid: u32,
    /// The walreceiver: of one that connected again, the last; `null` if none was seen.
    pub pid: Option<u32>,
    /// How many walreceivers there were, one after the other.
    pub connections: u64,
    /// Its own end of its connection, likewise; `null` if that is not TCP's.
    pub local: Option<Endpoint>,
    /// The primary's end, likewise.
    pub remote: Option<Endpoint>,
    /// Whether it was followed.
    pub measured: bool,
    /// If not, why.
    pub reason: Option<String>,
    /// The functions that were watched, and whether they were seen to be called.
    #[serde(default)]
    pub hooks: Vec<HookReport>,
    /// Messages with WAL.
    pub messages: u64,
    /// Bytes of WAL in them.
    pub bytes: u64,
    /// Where the WAL begins of which the stages are known, as PostgreSQL writes it; `null` if
    /// none are.
    pub from_lsn: Option<String>,
    /// Where it ends.
    pub to_lsn: Option<String>,
    /// Of all messages, how long each stage took; those that are not over are in none.
    pub stages: ByReceiverStage<PartQuantiles>,
    /// The messages that took longest from their arrival until their reply was acknowledged, at
    /// most 100, the slowest first.
    pub slowest: Vec<SlowMessage>,
    /// Some messages and replies of the last connection, by which the clocks of the two hosts can
    /// be compared.
    #[serde(default)]
    pub exchanges: ExchangesReport,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlowMessage {
    /// When it arrived, or was read if that was not seen.
    pub start: String,
    /// The same from the start of the window.
    pub offset_s: f64,
    /// Where its WAL ends, as PostgreSQL writes it.
    pub lsn: String,
    /// Bytes of WAL.
    pub bytes: u64,
    /// From its arrival until its reply was acknowledged, or was sent if that was not seen.
    pub total_ms: f64,
    /// Each stage; `null` if its beginning or its end was not seen.
    pub stages_ms: ByReceiverStage<Option<f64>>,
    /// What happened meanwhile on its connection, up to 64 of them, from its arrival on.
    #[serde(default)]
    pub events: Vec<CommitEvent>,
}
