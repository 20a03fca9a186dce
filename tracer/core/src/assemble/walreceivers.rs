//! What became of WAL that arrived at standbys on this host, from what was followed.

use std::collections::BTreeSet;

use tracer_ebpf::Tuple;

use crate::assemble::exchanges::exchanges;
use crate::assemble::stages::events;
use crate::clock::RunClock;
use crate::interval::Span;
use crate::recording::commits::FollowedStages;
use crate::recording::receiver_tracker::{SlowWal, StandbyWal};
use crate::recording::wire_events::WireEvents;
use crate::report::endpoint::endpoints;
use crate::report::histogram::Histogram;
use crate::report::walreceiver::{ByReceiverStage, ReceiverStage, SlowMessage, WalreceiverReport};
use crate::text::lsn;

/// Of each standby that is known.
pub(super) fn walreceivers(
    followed: &FollowedStages,
    wire: &WireEvents,
    clock: RunClock,
) -> Vec<WalreceiverReport> {
    let servers: BTreeSet<u32> = followed
        .standbys
        .keys()
        .chain(followed.not_received.keys())
        .copied()
        .collect();
    let report = |server| {
        let reason = followed.not_received.get(&server).cloned();
        let seen = followed.received(server);
        let unseen = seen.and_then(|seen| seen.reason());
        // What was never seen is not known to have taken no time.
        let standby = followed.standbys.get(&server).filter(|_| unseen.is_none());
        let report = one(server, standby, reason.or(unseen), wire, clock);
        WalreceiverReport {
            hooks: seen.map_or_else(Vec::new, |seen| seen.hooks().into()),
            ..report
        }
    };
    servers.into_iter().map(report).collect()
}

fn one(
    server_pid: u32,
    standby: Option<&StandbyWal>,
    reason: Option<String>,
    wire: &WireEvents,
    clock: RunClock,
) -> WalreceiverReport {
    let took = |stage: ReceiverStage| {
        standby.map_or_else(Histogram::empty, |one| one.stages[stage as usize])
    };
    let ends = standby.and_then(|one| Some(endpoints(one.tuple.as_ref()?)));
    let known = standby.and_then(|one| one.known);
    WalreceiverReport {
        server_pid,
        pid: standby.and_then(|one| one.pid),
        connections: standby.map_or(0, |one| one.connections),
        local: ends.as_ref().map(|(local, _)| local.clone()),
        remote: ends.map(|(_, remote)| remote),
        measured: standby.is_some(),
        reason,
        hooks: Vec::new(),
        messages: standby.map_or(0, |one| one.messages),
        bytes: standby.map_or(0, |one| one.bytes),
        from_lsn: known.map(|(from, _)| lsn(from)),
        to_lsn: known.map(|(_, to)| lsn(to)),
        stages: ByReceiverStage::new(|stage| took(stage).quantiles()),
        slowest: standby.map_or_else(Vec::new, |one| {
            let slowest = one.slowest().into_iter();
            let tuple = standby.and_then(|one| one.tuple);
            slowest
                .map(|one| slow(&one, tuple.as_ref(), wire, clock))
                .collect()
        }),
        exchanges: standby.map_or_else(Default::default, |one| exchanges(&one.exchanges)),
    }
}

fn slow(
    message: &SlowWal,
    tuple: Option<&Tuple>,
    wire: &WireEvents,
    clock: RunClock,
) -> SlowMessage {
    let whole = Span {
        from_ns: message.start_ns,
        to_ns: message.start_ns.saturating_add(message.total_ns),
    };
    let ms = |ns: u64| ns as f64 / 1e6;
    SlowMessage {
        start: clock.utc(message.start_ns),
        offset_s: clock.offset_s(message.start_ns),
        lsn: lsn(message.lsn),
        bytes: message.bytes,
        total_ms: ms(message.total_ns),
        stages_ms: ByReceiverStage::new(|stage| message.stages[stage as usize].map(ms)),
        events: tuple.map_or_else(Vec::new, |tuple| events(wire, tuple, whole)),
    }
}
