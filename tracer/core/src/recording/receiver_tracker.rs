//! Follows WAL through the standbys on this host: from the segment that brought it to the
//! replies that say it is flushed, and replayed.
//!
//! A position in the WAL joins a message, the flush that it waited for and the replies:
//! whoever is told that `n` is flushed knows it of everything before `n`.

use std::collections::{BTreeMap, VecDeque};

use tracer_ebpf::{ReceiverMet, ReplySent, SegmentReceived, WalFlushed, WalReceived};

use crate::interval::Span;
use crate::recording::connection_progress::{ConnectionProgress, MAX_MOMENTS, REMEMBERED_NS};
use crate::recording::exchange_sample::ExchangeSample;
use crate::recording::stage_record::StageRecord;
pub use crate::recording::standby_wal::{SlowWal, StandbyWal};
pub use crate::recording::wal_message::StageTimes;
use crate::recording::wal_message::{Arrival, Message};
use crate::report::histogram::Histogram;
use crate::report::walreceiver::ReceiverStage;

/// The most standbys whose sums are kept.
const MAX_STANDBYS: usize = 64;

/// The most flushes that are remembered: a message that waited through more of them waited for
/// a disk that is quick.
const MAX_FLUSHES: usize = 256;

/// A message that is not known to be replayed.
#[derive(Clone, Copy, Debug)]
struct Unapplied {
    to_lsn: u64,
    received_ns: u64,
    flushed_ns: Option<u64>,
}

#[derive(Debug, Default)]
struct FollowedReceiver {
    server: u32,
    sock: u64,
    connection: ConnectionProgress,
    messages: VecDeque<Message>,
    unapplied: VecDeque<Unapplied>,
    /// The last flushes, from when to when.
    flushes: VecDeque<Span>,
}

/// Joins the records as they come.
#[derive(Debug, Default)]
pub struct ReceiverTracker {
    receivers: BTreeMap<u32, FollowedReceiver>,
    standbys: BTreeMap<u32, StandbyWal>,
    /// Standbys that were seen to have ended.
    ended: u64,
    /// Standbys that there was no room for, or not any more.
    no_room: u64,
}

impl ReceiverTracker {
    /// Of this server it is known that its walreceivers are followed, if there are any.
    pub fn expect(&mut self, server: u32) {
        if let Some(known) = self.standbys.get_mut(&server) {
            known.ended = None;
        } else if self.make_room() {
            self.standbys.insert(server, StandbyWal::new());
        }
    }

    /// Of too many standbys, one that has ended goes: one that received nothing, or else the one
    /// that ended first. False if all of them run.
    fn make_room(&mut self) -> bool {
        if self.standbys.len() < MAX_STANDBYS {
            return true;
        }
        let standbys = self.standbys.iter();
        let ended = standbys.filter_map(|(pid, one)| Some((one.messages > 0, one.ended?, *pid)));
        let first = ended.min();
        if first.is_none_or(|(has_received, ..)| has_received) {
            self.no_room += 1;
        }
        first.is_some_and(|(.., pid)| self.standbys.remove(&pid).is_some())
    }

    /// How often a standby was not followed, or what it had done was given up, because there were
    /// too many.
    #[must_use]
    pub fn no_room(&self) -> u64 {
        self.no_room
    }

    /// A walreceiver of that server is followed from now on.
    pub fn follow(&mut self, pid: u32, server: u32) {
        self.expect(server);
        let Some(standby) = self.standbys.get_mut(&server) else {
            return;
        };
        standby.pid = Some(pid);
        standby.connections += 1;
        // What it had received, but not flushed, it receives again.
        standby.exchanges = ExchangeSample::default();
        let receiver = FollowedReceiver {
            server,
            ..FollowedReceiver::default()
        };
        self.receivers.insert(pid, receiver);
    }

    /// How long each stage took so far, by the standby's first process.
    pub fn stages(&self) -> impl Iterator<Item = (u32, &[Histogram; ReceiverStage::COUNT])> {
        self.standbys.iter().map(|(pid, one)| (*pid, &one.stages))
    }

    /// Whether that process is followed.
    #[must_use]
    pub fn follows(&self, pid: u32) -> bool {
        self.receivers.contains_key(&pid)
    }

    /// Takes in a record; those of others are left alone.
    pub fn note(&mut self, record: &StageRecord) {
        match record {
            StageRecord::ReceiverMet(met) => self.meet(met),
            StageRecord::SegmentReceived(segment) => self.receive(segment),
            StageRecord::WalReceived(message) => self.read(message),
            StageRecord::WalFlushed(flush) => self.flush(flush),
            StageRecord::ReplySent(reply) => self.reply(reply),
            _ => {}
        }
    }

    fn meet(&mut self, met: &ReceiverMet) {
        let Some(receiver) = self.receivers.get_mut(&met.pid) else {
            return;
        };
        if met.sock == 0 {
            return;
        }
        receiver.sock = met.sock;
        receiver.connection = ConnectionProgress::default();
        if let Some(standby) = self.standbys.get_mut(&receiver.server) {
            standby.tuple = Some(met.tuple);
        }
    }

    fn receive(&mut self, segment: &SegmentReceived) {
        let mut receivers = self.receivers.values_mut();
        if let Some(receiver) = receivers.find(|one| one.sock == segment.sock) {
            receiver.connection.receive(segment);
        }
    }

    fn read(&mut self, message: &WalReceived) {
        let Some(receiver) = self.receivers.get_mut(&message.pid) else {
            return;
        };
        let connection = &mut receiver.connection;
        let read_up_to = (message.sock != 0).then(|| {
            connection.look(message.time_ns, message.snd_una, message.rcv_nxt);
            connection.incoming(message.copied_seq)
        });
        let message = Message {
            from_lsn: message.from_lsn,
            to_lsn: message.to_lsn,
            received_ns: message.time_ns,
            read_up_to,
            flush: None,
            replied: None,
            apply_ns: None,
        };
        if let Some(standby) = self.standbys.get_mut(&receiver.server) {
            standby.messages += 1;
            standby.bytes = standby.bytes.saturating_add(message.bytes());
        }
        if receiver.messages.len() >= MAX_MOMENTS {
            receiver.messages.pop_front();
        }
        receiver.messages.push_back(message);
        if receiver.unapplied.len() >= MAX_MOMENTS {
            receiver.unapplied.pop_front();
        }
        receiver.unapplied.push_back(Unapplied {
            to_lsn: message.to_lsn,
            received_ns: message.received_ns,
            flushed_ns: None,
        });
    }

    fn flush(&mut self, flush: &WalFlushed) {
        let Some(receiver) = self.receivers.get_mut(&flush.pid) else {
            return;
        };
        // One process's flushes come one after the other; what says otherwise is no flush.
        let last_ns = receiver.flushes.back().map_or(0, |last| last.to_ns);
        if flush.from_ns < last_ns || flush.to_ns < flush.from_ns {
            return;
        }
        if receiver.flushes.len() >= MAX_FLUSHES {
            receiver.flushes.pop_front();
        }
        receiver.flushes.push_back(Span {
            from_ns: flush.from_ns,
            to_ns: flush.to_ns,
        });
        let waits = |message: &&mut Message| message.flush.is_none() && message.replied.is_none();
        for message in receiver.messages.iter_mut().rev().take_while(waits) {
            if message.received_ns <= flush.from_ns {
                message.flush = Some((flush.from_ns, flush.to_ns));
            }
        }
    }

    fn reply(&mut self, reply: &ReplySent) {
        let Some(receiver) = self.receivers.get_mut(&reply.pid) else {
            return;
        };
        let mut behind = 0;
        if reply.sock != 0 {
            let connection = &mut receiver.connection;
            connection.look(reply.time_ns, reply.snd_una, reply.rcv_nxt);
            behind = connection.outgoing(reply.write_seq).saturating_add(1);
            if let Some(standby) = self.standbys.get_mut(&receiver.server) {
                let replies = &mut standby.exchanges.replies;
                replies.add(reply.write_seq.into(), reply.time_ns);
            }
        }
        // Of what is in order, those that nothing is known of yet are the last.
        let messages = receiver.messages.iter_mut().rev();
        for message in messages.take_while(|one| one.replied.is_none()) {
            let was_read = message.received_ns <= reply.time_ns;
            if was_read && message.to_lsn <= reply.flush_lsn {
                message.replied = Some((reply.time_ns, behind));
            }
        }
        let unapplied = receiver.unapplied.iter_mut().rev();
        for one in unapplied.take_while(|one| one.flushed_ns.is_none()) {
            if one.to_lsn <= reply.flush_lsn {
                let messages = &receiver.messages;
                let at = messages.partition_point(|message| message.to_lsn < one.to_lsn);
                let flush = messages.get(at).and_then(|message| message.flush);
                one.flushed_ns = Some(flush.map_or(reply.time_ns, |(_, to_ns)| to_ns));
            }
        }
        let standby = self.standbys.get_mut(&receiver.server);
        let mut applied = Vec::new();
        while let Some(one) = receiver.unapplied.front().copied()
            && one.to_lsn <= reply.apply_lsn
        {
            let from_ns = one.flushed_ns.unwrap_or(one.received_ns);
            let took_ns = reply.time_ns.saturating_sub(from_ns);
            if let Some(message) = receiver.message_to(one.to_lsn) {
                message.apply_ns = Some(took_ns);
            }
            applied.push((one.to_lsn, took_ns));
            receiver.unapplied.pop_front();
        }
        if let Some(standby) = standby {
            for (lsn, took_ns) in applied {
                standby.apply(lsn, took_ns);
            }
        }
    }

    /// Adds up what is over.
    pub fn settle(&mut self, now_ns: u64) {
        let old = now_ns.saturating_sub(REMEMBERED_NS);
        for receiver in self.receivers.values_mut() {
            let Some(standby) = self.standbys.get_mut(&receiver.server) else {
                continue;
            };
            receiver.add_up(standby, |one| one.received_ns < old);
        }
    }

    /// Which connections are not there any more, as their walreceiver has ended; each once, with
    /// that walreceiver.
    pub fn forget(&mut self, runs: impl Fn(u32) -> bool) -> Vec<(u64, u32)> {
        let mut gone = Vec::new();
        self.receivers.retain(|pid, receiver| {
            let running = runs(*pid);
            if !running {
                gone.extend((receiver.sock != 0).then_some((receiver.sock, *pid)));
                if let Some(standby) = self.standbys.get_mut(&receiver.server) {
                    receiver.add_up(standby, |_| true);
                }
            }
            running
        });
        for (server, standby) in &mut self.standbys {
            if standby.ended.is_none() && !runs(*server) {
                standby.ended = Some(self.ended);
                self.ended += 1;
            }
        }
        gone
    }

    /// Records were lost: what is not over yet is not joined any more.
    pub fn lose(&mut self) {
        for receiver in self.receivers.values_mut() {
            receiver.messages.clear();
            receiver.unapplied.clear();
            receiver.connection = ConnectionProgress::default();
        }
    }

    /// What was learnt, by the standby's first process.
    #[must_use]
    pub fn finish(mut self) -> BTreeMap<u32, StandbyWal> {
        self.forget(|_| false);
        self.standbys
    }
}

impl FollowedReceiver {
    /// The message that ends there, if it is not over yet.
    fn message_to(&mut self, lsn: u64) -> Option<&mut Message> {
        let at = self
            .messages
            .partition_point(|message| message.to_lsn < lsn);
        let found = self.messages.get_mut(at)?;
        (found.to_lsn == lsn).then_some(found)
    }

    /// When a message arrived that is not among the others any more: those read at once with it
    /// lie behind it in the stream.
    fn arrival(&mut self, message: &Message) -> Arrival {
        let Some(read_up_to) = message.read_up_to else {
            return Arrival::default();
        };
        let behind = self
            .messages
            .iter()
            .take_while(|one| one.read_up_to == Some(read_up_to));
        let behind = behind.fold(0_u64, |sum, one| sum.saturating_add(one.stream_bytes()));
        let end = read_up_to.saturating_sub(behind);
        let segment = self.connection.segment_that_brought(end);
        let time_ns = segment.map(|segment| segment.time_ns.min(message.received_ns));
        let held_up_ns = time_ns.map_or(0, |from_ns| {
            let lay = Span {
                from_ns,
                to_ns: message.received_ns,
            };
            lay.covered_ns(self.flushes.make_contiguous())
        });
        Arrival {
            time_ns,
            held_up_ns,
        }
    }

    /// By when a message had arrived for sure: never before it had, as an estimate may be.
    fn arrived_by(&self, message: &Message) -> Option<u64> {
        let read_up_to = message.read_up_to?;
        let behind = self
            .messages
            .iter()
            .take_while(|one| one.read_up_to == Some(read_up_to));
        let behind = behind.fold(0_u64, |sum, one| {
            sum.saturating_add(one.least_stream_bytes())
        });
        let end = read_up_to.saturating_sub(behind);
        let segment = self.connection.segment_that_brought(end);
        let arrived_ns = segment.map_or(message.received_ns, |segment| segment.time_ns);
        Some(arrived_ns.min(message.received_ns))
    }

    /// Adds up the messages that are over, in order, and with them those that are given up.
    fn add_up(&mut self, standby: &mut StandbyWal, is_given_up: impl Fn(&Message) -> bool) {
        while let Some(message) = self.messages.front().copied() {
            let replied = message.replied.filter(|_| self.sock != 0);
            let acknowledged_ns = replied.and_then(|(replied_ns, behind)| {
                let found = self.connection.acknowledged_ns(behind);
                // An earlier one is not what did it: that one was not seen.
                found.filter(|found| *found >= replied_ns)
            });
            // What nobody saw acknowledged may be so all the same: nothing more is learnt of it.
            let is_over = match replied {
                Some((_, behind)) => self.connection.has_acknowledged(behind),
                None => message.replied.is_some(),
            };
            if !is_over && !is_given_up(&message) {
                return;
            }
            self.messages.pop_front();
            let arrival = self.arrival(&message);
            standby.add(&message, arrival, acknowledged_ns);
            if standby.exchanges.wal.wants(message.to_lsn)
                && let Some(arrived_ns) = self.arrived_by(&message)
            {
                standby.exchanges.wal.add(message.to_lsn, arrived_ns);
            }
        }
    }
}

#[cfg(test)]
mod tests;
