//! What became of the WAL that one standby received.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tracer_ebpf::Tuple;

use crate::recording::exchange_sample::ExchangeSample;
use crate::recording::wal_message::{Arrival, Message, StageTimes};
use crate::report::histogram::Histogram;
use crate::report::walreceiver::ReceiverStage;

/// The slowest messages that are kept of a standby.
pub(crate) const MAX_SLOW: usize = 100;

/// What a standby's walreceivers have done.
#[derive(Clone, Debug)]
pub struct StandbyWal {
    /// The last of them; `None` if there was none.
    pub pid: Option<u32>,
    /// Its connection; `None` if that is not TCP's.
    pub tuple: Option<Tuple>,
    /// How many there were.
    pub connections: u64,
    /// Messages with WAL.
    pub messages: u64,
    /// Bytes of WAL in them.
    pub bytes: u64,
    /// From where to where in the WAL messages were followed until the reply was acknowledged that
    /// they are flushed.
    pub known: Option<(u64, u64)>,
    /// How long each stage took.
    pub stages: [Histogram; ReceiverStage::COUNT],
    /// When some messages had arrived, and some replies were sent, on the last connection.
    pub exchanges: ExchangeSample,
    slowest: BinaryHeap<Reverse<SlowWal>>,
    /// As how many others had before, its first process has ended; `None` if it runs.
    pub(crate) ended: Option<u64>,
}

/// One of the slowest messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlowWal {
    /// From its arrival until its reply was acknowledged.
    pub total_ns: u64,
    /// When it arrived.
    pub start_ns: u64,
    /// Where its WAL ends.
    pub lsn: u64,
    /// Bytes of WAL.
    pub bytes: u64,
    /// Each stage. A message is slow by what lies between its arrival and its reply's
    /// acknowledgement: it may be replayed much later.
    pub stages: StageTimes,
}

impl StandbyWal {
    pub(crate) fn new() -> Self {
        Self {
            pid: None,
            tuple: None,
            connections: 0,
            messages: 0,
            bytes: 0,
            known: None,
            stages: [Histogram::empty(); ReceiverStage::COUNT],
            exchanges: ExchangeSample::default(),
            slowest: BinaryHeap::new(),
            ended: None,
        }
    }

    /// The slowest messages, the slowest first.
    #[must_use]
    pub fn slowest(&self) -> Vec<SlowWal> {
        let mut slowest: Vec<_> = self.slowest.iter().map(|one| one.0).collect();
        slowest.sort_by_key(|one| Reverse(*one));
        slowest
    }

    pub(crate) fn add(
        &mut self,
        message: &Message,
        arrival: Arrival,
        acknowledged_ns: Option<u64>,
    ) {
        let stages = message.stages(arrival, acknowledged_ns);
        for stage in ReceiverStage::ALL {
            // When it is replayed is told apart from the rest, see `apply`.
            if stage != ReceiverStage::Apply
                && let Some(took) = stages[stage as usize]
            {
                self.stages[stage as usize].add(took);
            }
        }
        let start_ns = arrival.time_ns.unwrap_or(message.received_ns);
        let Some(end_ns) = acknowledged_ns.or(message.replied.map(|(at, _)| at)) else {
            return;
        };
        // Where the last reply's acknowledgement was not seen, it may yet be on its way.
        if acknowledged_ns.is_some() {
            let known = self.known.get_or_insert((message.from_lsn, message.to_lsn));
            known.0 = known.0.min(message.from_lsn);
            known.1 = known.1.max(message.to_lsn);
        }
        self.slowest.push(Reverse(SlowWal {
            total_ns: end_ns.saturating_sub(start_ns),
            start_ns,
            lsn: message.to_lsn,
            bytes: message.bytes(),
            stages,
        }));
        if self.slowest.len() > MAX_SLOW {
            self.slowest.pop();
        }
    }

    /// A message was replayed so long after its flush.
    pub(crate) fn apply(&mut self, lsn: u64, took_ns: u64) {
        self.stages[ReceiverStage::Apply as usize].add(took_ns);
        // It may be among the slowest by now.
        if self.slowest.iter().any(|one| one.0.lsn == lsn) {
            let mut slowest = std::mem::take(&mut self.slowest).into_vec();
            for one in slowest.iter_mut().filter(|one| one.0.lsn == lsn) {
                one.0.stages[ReceiverStage::Apply as usize] = Some(took_ns);
            }
            self.slowest = slowest.into();
        }
    }
}
