//! Counting what was recorded, as the kernel programs count what happens.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tracer_core::assemble;
use tracer_core::clock::Clock;
use tracer_core::event::Decoded;
use tracer_core::recording::Recording;
use tracer_core::recording::bad_checksums;
use tracer_core::recording::flow_table::FlowTable;
use tracer_core::recording::loss_recovery::LossRecoveries;
use tracer_core::recording::namespace::NamespaceCounts;
use tracer_core::recording::roles::Known;
use tracer_core::report::capabilities::HookStatus;
use tracer_core::report::{Host, Report};
use tracer_ebpf::{EventKind, Flow, RetransmitKind, Totals, Tuple};

use crate::config::Config;
use crate::kernel::process;
use crate::programs::event_file::EventReader;

const JIFFY_NS: u64 = EventReader::<&[u8]>::JIFFY_NS;
const FIN: u16 = 1;
const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

/// All that has been taken in so far.
pub(crate) struct Recount<'a> {
    config: &'a Config,
    clock: Clock,
    interval_ns: u64,
    start_ns: u64,
    last_ns: u64,
    /// When the next sample is due.
    due_ns: u64,
    flows: HashMap<Tuple, Flow>,
    changed: BTreeSet<Tuple>,
    table: FlowTable,
    bad_checksums: bad_checksums::Series,
    bad_by_sender: bad_checksums::BySender,
    holes: LossRecoveries,
    namespaces: BTreeMap<u32, Totals>,
    seen: BTreeSet<&'static str>,
    failed: bool,
}

impl<'a> Recount<'a> {
    /// Begins with the first event, which was at this moment, ns of `CLOCK_MONOTONIC`.
    pub(crate) fn new(config: &'a Config, clock: Clock, interval_ns: u64, start_ns: u64) -> Self {
        Self {
            config,
            clock,
            interval_ns,
            start_ns,
            last_ns: start_ns,
            due_ns: start_ns.saturating_add(interval_ns),
            flows: HashMap::new(),
            changed: BTreeSet::new(),
            table: FlowTable::default(),
            bad_checksums: bad_checksums::Series::default(),
            bad_by_sender: bad_checksums::BySender::default(),
            holes: LossRecoveries::default(),
            namespaces: BTreeMap::new(),
            seen: BTreeSet::new(),
            failed: false,
        }
    }

    /// Takes in one event: the totals hold every one, and the rest what the filter keeps.
    pub(crate) fn take(&mut self, decoded: &Decoded) {
        let event = &decoded.event;
        // Of two processors, the one that read its clock first may write second.
        self.last_ns = self.last_ns.max(event.time_ns);
        if event.time_ns > self.due_ns {
            self.sample(self.due_ns);
            let late_ns = event.time_ns.saturating_sub(self.due_ns);
            let missed = late_ns.checked_div(self.interval_ns).unwrap_or(late_ns);
            let step = missed.saturating_add(1).saturating_mul(self.interval_ns);
            self.due_ns = self.due_ns.saturating_add(step);
        }
        self.seen.insert(hook(decoded.what));
        let kept = self.config.filter.keeps(&event.tuple);
        let selected = u64::from(kept);
        if kept {
            self.holes.note(decoded, JIFFY_NS);
        }
        let totals = self.namespaces.entry(event.tuple.netns).or_default();
        let opens = event.state == ESTABLISHED;
        let closes = event.state == CLOSE && ![LISTEN, SYN_SENT].contains(&event.old_state);
        let change: fn(&mut Flow, &Decoded) = match (decoded.what, decoded.kind) {
            (EventKind::Retransmit | EventKind::SynAck, Some(kind)) => {
                self.failed |= event.err != 0;
                count(totals, decoded, kind);
                if kept {
                    self.flows.entry(event.tuple).or_insert_with(|| Flow {
                        tuple: event.tuple,
                        ..Flow::default()
                    });
                }
                hit
            }
            (EventKind::State, _) if opens => {
                grow(&mut totals.opened, 1);
                grow(&mut totals.selected_opened, selected);
                return;
            }
            (EventKind::State, _) if closes => {
                grow(&mut totals.closed, 1);
                grow(&mut totals.selected_closed, selected);
                |flow, decoded| flow.closed_ns = decoded.event.time_ns
            }
            (EventKind::BadChecksum, _) => {
                grow(&mut totals.selected_bad_checksums, selected);
                if kept {
                    self.bad_by_sender.add(&event.tuple);
                }
                return;
            }
            (EventKind::ResetSent, _) => {
                grow(&mut totals.resets_sent, 1);
                grow(&mut totals.selected_resets_sent, selected);
                |flow, _| grow(&mut flow.resets_sent, 1)
            }
            (EventKind::ResetReceived, _) => {
                grow(&mut totals.resets_received, 1);
                grow(&mut totals.selected_resets_received, selected);
                |flow, _| grow(&mut flow.resets_received, 1)
            }
            // Decoding gives every other event a kind.
            (EventKind::State, _) | (EventKind::Retransmit | EventKind::SynAck, None) => return,
        };
        // Only flows that the filter keeps are there.
        if let Some(flow) = self.flows.get_mut(&event.tuple) {
            change(flow, decoded);
            self.changed.insert(event.tuple);
        }
    }

    /// Takes a sample of what has changed, as a run does once an interval.
    fn sample(&mut self, at_ns: u64) {
        self.table.make_room(&Known::default());
        let changed = std::mem::take(&mut self.changed);
        let flows: Vec<Flow> = changed
            .iter()
            .filter_map(|tuple| self.flows.get(tuple).copied())
            .collect();
        let (closed, live): (Vec<Flow>, _) = flows.into_iter().partition(|one| one.closed_ns != 0);
        // Whoever has its ends later is another flow.
        for flow in &closed {
            self.flows.remove(&flow.tuple);
        }
        self.table.update(at_ns, &live, &closed);
        self.table.identify(process::of_owner);
        let by_sender = self.bad_by_sender.clone();
        self.bad_checksums
            .update(at_ns, by_sender.by_peer.values().sum(), by_sender);
    }

    /// The report.
    pub(crate) fn finish(mut self) -> Report {
        // An interval belongs to the part of a run in which it ends.
        let end_ns = self.last_ns.max(self.start_ns.saturating_add(1));
        self.sample(end_ns);
        let netns: Vec<u32> = self.namespaces.keys().copied().collect();
        let hooks: Vec<_> = self.seen.iter().copied().map(attached).collect();
        let sees_bad_checksums = hooks.iter().any(|hook| hook.name == "tcp_bad_csum");
        let namespaces = self.namespaces.into_iter();
        let (flows, groups) = Recording::flows_of(self.table, &Known::default(), JIFFY_NS);
        assemble::assemble(Recording {
            settings: self.config.settings(),
            host: Host {
                netns: match netns.as_slice() {
                    [one] => Some(*one),
                    _ => None,
                },
                ..Host::default()
            },
            clock: self.clock,
            jiffy_ns: JIFFY_NS,
            start_ns: self.start_ns,
            end_ns,
            hooks,
            retransmit_err: self.failed,
            socket_storage: false,
            flows,
            groups,
            bad_checksums: sees_bad_checksums.then(|| self.bad_checksums.into_steps()),
            holes: self.holes,
            namespaces: namespaces
                .map(|(netns, totals)| NamespaceCounts {
                    netns,
                    totals,
                    ..NamespaceCounts::default()
                })
                .collect(),
            cpu: process::cpu(),
            peak_memory_kib: process::peak_memory_kib().unwrap_or(0),
            ..Recording::default()
        })
    }
}

/// Counts more. No recording holds as many lines as would reach the end of 64 bits.
fn grow(count: &mut u64, more: u64) {
    *count = count.saturating_add(more);
}

fn grow_of(counts: &mut [u64; RetransmitKind::COUNT], kind: RetransmitKind, more: u64) {
    if let Some(count) = counts.get_mut(kind as usize) {
        grow(count, more);
    }
}

/// The tracepoint that an event is from.
fn hook(what: EventKind) -> &'static str {
    match what {
        EventKind::Retransmit => "tcp_retransmit_skb",
        EventKind::SynAck => "tcp_retransmit_synack",
        EventKind::State => "inet_sock_set_state",
        EventKind::BadChecksum => "tcp_bad_csum",
        EventKind::ResetSent => "tcp_send_reset",
        EventKind::ResetReceived => "tcp_receive_reset",
    }
}

fn attached(name: &'static str) -> HookStatus {
    HookStatus {
        name: name.into(),
        attached: true,
        consequence: None,
        reason: None,
    }
}

fn count(totals: &mut Totals, decoded: &Decoded, kind: RetransmitKind) {
    let event = &decoded.event;
    let segments = u64::from(event.segments);
    grow_of(&mut totals.attempts, kind, 1);
    grow_of(&mut totals.segments, kind, segments);
    grow(&mut totals.bytes, event.bytes.into());
    if event.err != 0 {
        grow(&mut totals.failed_events, 1);
        grow_of(&mut totals.failed_segments, kind, segments);
    }
}

fn hit(flow: &mut Flow, decoded: &Decoded) {
    let event = &decoded.event;
    let Some(kind) = decoded.kind else { return };
    let segments = u64::from(event.segments);
    grow_of(&mut flow.segments, kind, segments);
    grow(&mut flow.bytes, event.bytes.into());
    if event.err == 0 {
        grow(&mut flow.events, 1);
    } else {
        grow(&mut flow.failed_events, 1);
        grow(&mut flow.failed_segments, segments);
    }
    grow(&mut flow.fin, u64::from(event.tcp_flags & FIN != 0));
    if flow.first_ns == 0 {
        flow.first_ns = event.time_ns;
    }
    flow.last_ns = event.time_ns;
    if decoded.what == EventKind::Retransmit {
        flow.srtt_us = event.srtt_us;
        flow.rto = event.rto;
        flow.rto_max = flow.rto_max.max(event.rto);
        flow.cwnd = event.cwnd;
        flow.backoff = u32::from(event.backoff);
        flow.backoff_max = flow.backoff_max.max(flow.backoff);
    }
}
