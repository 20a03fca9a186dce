//! Which of the functions that are watched were seen to be called, and what says that one was
//! called and not seen: with link-time optimisation a compiler may have put it into its only
//! caller, and then its symbol is there and never fires.

use std::collections::BTreeMap;

use tracer_ebpf::{
    ReplyHandled, ReplySent, SenderMet, ServerLayout, WaitEnded, WalReceived, WalTaken,
};

use crate::recording::seen_hooks::{ReceiverCalls, SeenHooks, WalsenderCalls};
use crate::recording::stage_record::StageRecord;
use crate::recording::stage_tracker::{NOBODY_NS, awaited};

/// More servers, walsenders or walreceivers than these are not judged.
const MAX_REMEMBERED: usize = 1_024;

/// Takes in the records as they come.
#[derive(Debug, Default)]
pub struct HookTally {
    servers: BTreeMap<u32, SeenHooks>,
    /// Walsenders by their connection.
    senders: BTreeMap<u64, TalliedSender>,
    /// Walreceivers by their process.
    receivers: BTreeMap<u32, TalliedReceiver>,
    /// How far physical standbys have confirmed WAL, by server: whatever is waited for.
    confirmed: BTreeMap<u32, u64>,
    has_lost: bool,
}

#[derive(Debug, Clone, Copy)]
struct TalliedSender {
    server: u32,
    is_logical: bool,
    /// Whether data has arrived that no handling of a reply was seen for.
    has_data: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct TalliedReceiver {
    server: u32,
    /// Where the WAL ends that it was seen to read.
    received: u64,
    /// How far it has said that WAL is written and flushed.
    written: u64,
    flushed: u64,
}

impl HookTally {
    /// Takes in a record.
    pub fn note(&mut self, record: &StageRecord) {
        match record {
            StageRecord::WaitEnded(wait) => self.wait(wait),
            StageRecord::SenderMet(met) => self.meet_sender(met),
            StageRecord::WalTaken(taken) => self.take(taken),
            StageRecord::SegmentReceived(segment) => {
                let has_data = segment.end_seq != segment.seq;
                if let Some(sender) = self.senders.get_mut(&segment.sock) {
                    sender.has_data |= has_data;
                }
            }
            StageRecord::ReplyHandled(reply) => self.handle(reply),
            StageRecord::ReceiverMet(met) => {
                let is_known = self.receivers.contains_key(&met.pid);
                if !is_known && self.receivers.len() < MAX_REMEMBERED {
                    let receiver = TalliedReceiver {
                        server: met.server,
                        ..TalliedReceiver::default()
                    };
                    self.receivers.insert(met.pid, receiver);
                }
            }
            StageRecord::WalReceived(message) => self.receive(message),
            StageRecord::WalFlushed(flush) => {
                if let Some(calls) = self.receiver_calls(flush.pid) {
                    calls.flushes = calls.flushes.saturating_add(1);
                }
            }
            StageRecord::ReplySent(reply) => self.reply(reply),
            StageRecord::ServerMet(_) => {}
        }
    }

    /// What the kernel counted of a server's walsenders; to be told once for each server, when
    /// it has ended or at the end.
    pub fn add_calls(&mut self, server: u32, layout: &ServerLayout) {
        if let Some(seen) = self.server(server) {
            seen.walsenders.add(layout);
        }
    }

    /// What is known so far of a server that runs, of which the kernel has counted these calls.
    #[must_use]
    pub fn so_far(&self, server: u32, layout: &ServerLayout) -> SeenHooks {
        let mut seen = self.servers.get(&server).copied().unwrap_or_default();
        seen.walsenders.add(layout);
        seen
    }

    /// Processes that have ended leave their numbers to others.
    pub fn forget(&mut self, runs: impl Fn(u32) -> bool) {
        self.receivers.retain(|pid, _| runs(*pid));
        self.senders.retain(|_, one| runs(one.server));
        self.confirmed.retain(|server, _| runs(*server));
    }

    /// Records were lost: what was not told may have been called.
    pub fn lose(&mut self) {
        self.has_lost = true;
    }

    /// All that was seen, by the first process of the server.
    #[must_use]
    pub fn finish(self) -> BTreeMap<u32, SeenHooks> {
        let mut servers = self.servers;
        if self.has_lost {
            for seen in servers.values_mut() {
                seen.walsenders.connections = seen.walsenders.connections.max(1);
                seen.receivers = ReceiverCalls {
                    written: 0,
                    flushed: 0,
                    replies: seen.receivers.replies.max(1),
                    ..seen.receivers
                };
            }
        }
        servers
    }

    fn server(&mut self, server: u32) -> Option<&mut SeenHooks> {
        let is_known = self.servers.contains_key(&server);
        if !is_known && self.servers.len() >= MAX_REMEMBERED {
            return None;
        }
        Some(self.servers.entry(server).or_default())
    }

    fn walsender_calls(&mut self, server: u32) -> Option<&mut WalsenderCalls> {
        self.server(server).map(|seen| &mut seen.walsenders)
    }

    fn receiver_calls(&mut self, pid: u32) -> Option<&mut ReceiverCalls> {
        let server = self.receivers.get(&pid)?.server;
        self.server(server).map(|seen| &mut seen.receivers)
    }

    /// A wait's WAL is written while it lasts, or shortly before: who confirms it has been
    /// sent it meanwhile. Shorter ones may have been for nobody, and others were: with
    /// `synchronous_commit = local` it was a processor that was waited for.
    fn wait(&mut self, wait: &WaitEnded) {
        let length_ns = wait.to_ns.saturating_sub(wait.from_ns);
        if length_ns < NOBODY_NS || awaited(wait).is_none() {
            return;
        }
        let confirmed = self.confirmed.get(&wait.server);
        let is_confirmed = confirmed.is_some_and(|confirmed| *confirmed >= wait.lsn);
        if let Some(calls) = self.walsender_calls(wait.server) {
            calls.waits = calls.waits.saturating_add(1);
            let confirmed = u64::from(is_confirmed);
            calls.confirmed = calls.confirmed.saturating_add(confirmed);
        }
    }

    fn meet_sender(&mut self, met: &SenderMet) {
        let is_known = self.senders.contains_key(&met.sock);
        if is_known || self.senders.len() < MAX_REMEMBERED {
            let sender = TalliedSender {
                server: met.server,
                is_logical: met.is_logical != 0,
                has_data: false,
            };
            self.senders.insert(met.sock, sender);
        }
        if let Some(calls) = self.walsender_calls(met.server) {
            calls.connections = calls.connections.saturating_add(1);
        }
    }

    /// Before a walsender takes WAL, it reads what has arrived (`WalSndLoop()`,
    /// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/replication/walsender.c>).
    fn take(&mut self, taken: &WalTaken) {
        let Some(sender) = self.senders.get_mut(&taken.sock) else {
            return;
        };
        let has_data = std::mem::take(&mut sender.has_data);
        let server = sender.server;
        if has_data && let Some(calls) = self.walsender_calls(server) {
            calls.unhandled = calls.unhandled.saturating_add(1);
        }
    }

    fn handle(&mut self, reply: &ReplyHandled) {
        let Some(sender) = self.senders.get_mut(&reply.sock) else {
            return;
        };
        sender.has_data = false;
        let (server, is_logical) = (sender.server, sender.is_logical);
        let released = reply.released.into_iter().max();
        // What a logical one is sent is read by another way.
        if let Some(released) = released.filter(|_| !is_logical) {
            let confirmed = self.confirmed.entry(server).or_default();
            *confirmed = (*confirmed).max(released);
        }
    }

    fn receive(&mut self, message: &WalReceived) {
        if let Some(receiver) = self.receivers.get_mut(&message.pid) {
            receiver.received = receiver.received.max(message.to_lsn);
        }
        if let Some(calls) = self.receiver_calls(message.pid) {
            calls.messages = calls.messages.saturating_add(1);
        }
    }

    fn reply(&mut self, reply: &ReplySent) {
        let Some(receiver) = self.receivers.get_mut(&reply.pid) else {
            return;
        };
        // The first tells of what was before.
        let is_first = receiver.written == 0;
        let wrote = !is_first && reply.write_lsn > receiver.written;
        let flushed_seen = !is_first
            && reply.flush_lsn > receiver.flushed
            && receiver.received > receiver.flushed
            && reply.flush_lsn >= receiver.received;
        receiver.written = receiver.written.max(reply.write_lsn);
        receiver.flushed = receiver.flushed.max(reply.flush_lsn);
        if let Some(calls) = self.receiver_calls(reply.pid) {
            calls.replies = calls.replies.saturating_add(1);
            calls.written = calls.written.saturating_add(u64::from(wrote));
            calls.flushed = calls.flushed.saturating_add(u64::from(flushed_seen));
        }
    }
}

#[cfg(test)]
mod tests;
