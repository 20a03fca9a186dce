//! A message with WAL, from its arrival to the reply that it is flushed.

use crate::report::walreceiver::ReceiverStage;

/// What a message takes in the stream besides its WAL, bytes: its own headers, and at most what
/// TLS 1.2 adds to a record.
const MESSAGE_OVERHEAD: u64 = 5 + 25 + 40;

/// The same at least: the header of `CopyData` and that of `XLogData`.
const LEAST_OVERHEAD: u64 = 5 + 25;

/// How long each stage of one message took, ns; `None` if its beginning or its end was not seen.
pub type StageTimes = [Option<u64>; ReceiverStage::COUNT];

/// A message that was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(crate) from_lsn: u64,
    pub(crate) to_lsn: u64,
    pub(crate) received_ns: u64,
    /// Up to where in the stream the walreceiver had read; `None` without TCP.
    pub(crate) read_up_to: Option<u64>,
    pub(crate) flush: Option<(u64, u64)>,
    /// When the reply was sent that says it is flushed, and where that lies in the stream.
    pub(crate) replied: Option<(u64, u64)>,
    /// How long after its flush it was replayed, ns, if that is known by now.
    pub(crate) apply_ns: Option<u64>,
}

/// When a message arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrival {
    /// `None` if that was not seen.
    pub(crate) time_ns: Option<u64>,
    /// How long it lay there because what came before was flushed, ns.
    pub(crate) held_up_ns: u64,
}

impl Message {
    pub(crate) const fn bytes(&self) -> u64 {
        self.to_lsn.saturating_sub(self.from_lsn)
    }

    /// How much of the stream it takes at most. Too much is better than too little: what is
    /// found by it is the segment in which the message before it ends.
    pub(crate) const fn stream_bytes(&self) -> u64 {
        self.bytes().saturating_add(MESSAGE_OVERHEAD)
    }

    /// How much of the stream it takes at least.
    pub(crate) const fn least_stream_bytes(&self) -> u64 {
        self.bytes().saturating_add(LEAST_OVERHEAD)
    }

    pub(crate) fn stages(&self, arrival: Arrival, acknowledged_ns: Option<u64>) -> StageTimes {
        let replied_ns = self.replied.map(|(at, _)| at);
        let between = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?));
        // Two processors may tell of what happens in either order.
        let before_reply = |ns: u64| {
            let ns = ns.max(self.received_ns);
            replied_ns.map_or(ns, |replied_ns| ns.min(replied_ns.max(self.received_ns)))
        };
        let flush = self
            .flush
            .map(|(from, to)| (before_reply(from), before_reply(to)));
        let (flush_from, flush_to) = flush.unzip();
        let mut stages = StageTimes::default();
        let mut set = |stage: ReceiverStage, took| stages[stage as usize] = took;
        let received_ns = Some(self.received_ns);
        let read_ns = between(arrival.time_ns, received_ns);
        let read_ns = read_ns.map(|read_ns| read_ns.saturating_sub(arrival.held_up_ns));
        set(ReceiverStage::Read, read_ns);
        let written_ns = flush_from.or(replied_ns);
        set(ReceiverStage::Write, between(received_ns, written_ns));
        let flush_ns = between(flush_from, flush_to);
        let held_up_ns = Some(arrival.held_up_ns).filter(|held_up_ns| *held_up_ns > 0);
        let flush_ns = match (flush_ns, held_up_ns) {
            (Some(own), Some(before)) => Some(own.saturating_add(before)),
            (own, before) => own.or(before),
        };
        set(ReceiverStage::Flush, flush_ns);
        set(ReceiverStage::Reply, between(flush_to, replied_ns));
        set(
            ReceiverStage::Acknowledged,
            between(replied_ns, acknowledged_ns),
        );
        set(ReceiverStage::Apply, self.apply_ns);
        stages
    }
}
