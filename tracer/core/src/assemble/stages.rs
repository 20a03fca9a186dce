//! What waits for a standby were made of, from what was followed.

use tracer_ebpf::{RetransmitKind, SlowCommit, Tuple};

use crate::assemble::exchanges::exchanges;
use crate::interval::Span;
use crate::recording::commits::CommitsRecord;
use crate::recording::stage_tracker::SenderStages;
use crate::recording::wire_events::{WireEvent, WireEvents};
use crate::report::endpoint::endpoints;
use crate::report::stages::{
    AwaitedPosition, BAD_CHECKSUM, ByStage, CommitEvent, Stage, StageReport, StagesReport,
    StandbyStages,
};

/// The most events that are told of a commit, or of a message.
const MAX_EVENTS: usize = 64;

/// Of one server, by its first process.
pub(super) fn stages(record: &CommitsRecord, server: u32) -> StagesReport {
    if let Some(reason) = record.unstaged(server) {
        return not_measured(reason);
    }
    let Ok(followed) = &record.stages else {
        return StagesReport::default();
    };
    let senders = followed.stages.senders.iter();
    let own = senders.filter(|one| one.server == server && one.waits > 0);
    let standbys: Vec<_> = own.map(standby).collect();
    let unreleased = followed.stages.unreleased.get(&server);
    let unreleased_ms = unreleased.map_or(0.0, |one| ms(one.waits.sum_ns()));
    let [waited_ms, unexplained_ms] = standbys
        .iter()
        .map(|one| [one.waited_ms, one.stages.unexplained.took.sum_ms])
        .fold([unreleased_ms; 2], |sum, one| {
            [sum[0] + one[0], sum[1] + one[1]]
        });
    StagesReport {
        measured: true,
        reason: None,
        standbys,
        unreleased: unreleased.map_or(0, |one| one.waits.count()),
        unreleased_ms,
        unexplained_share: share(unexplained_ms, waited_ms),
    }
}

fn not_measured(reason: String) -> StagesReport {
    StagesReport {
        reason: Some(reason),
        ..StagesReport::default()
    }
}

fn standby(sender: &SenderStages) -> StandbyStages {
    let waited_ns: u64 = sender.stages.iter().map(|stage| stage.sum_ns()).sum();
    let slow_ns: u64 = sender.slow_ns.iter().sum();
    StandbyStages {
        walsender_pid: sender.pid,
        remote: endpoints(&sender.tuple).1,
        logical: sender.is_logical,
        waits: sender.waits,
        waited_ms: ms(waited_ns),
        stages: ByStage::new(|stage| {
            let took = &sender.stages[stage as usize];
            StageReport {
                took: took.quantiles(),
                share: share(took.sum_ns() as f64, waited_ns as f64),
                slow_share: share(sender.slow_ns[stage as usize] as f64, slow_ns as f64),
            }
        }),
        exchanges: exchanges(&sender.exchanges),
    }
}

/// What is known of a slow commit's wait.
#[derive(Default)]
pub(super) struct SlowWait {
    pub(super) stages_ms: Option<ByStage<f64>>,
    pub(super) awaited: Option<AwaitedPosition>,
    pub(super) walsender_pid: Option<u32>,
    pub(super) events: Vec<CommitEvent>,
}

/// Of a slow commit; `with_events` if those are to be told, too.
pub(super) fn of_slow(
    record: &CommitsRecord,
    slow: &SlowCommit,
    with_events: Option<&WireEvents>,
) -> SlowWait {
    let followed = record.stages.as_ref().ok().zip(record.followed(slow));
    let Some((followed, found)) = followed else {
        return SlowWait::default();
    };
    let senders = &followed.stages.senders;
    let sender = found.sender.and_then(|at| senders.get(at));
    let told = with_events.zip(sender).map(|(wire, sender)| {
        let whole = Span {
            from_ns: slow.start_ns,
            to_ns: slow.start_ns + slow.total_ns,
        };
        events(wire, &sender.tuple, whole)
    });
    SlowWait {
        stages_ms: Some(ByStage::new(|stage: Stage| ms(found.stages.of(stage)))),
        awaited: found.awaited,
        walsender_pid: sender.map(|sender| sender.pid),
        events: told.unwrap_or_default(),
    }
}

/// What happened on a connection in a span, from its beginning on.
pub(super) fn events(wire: &WireEvents, tuple: &Tuple, span: Span) -> Vec<CommitEvent> {
    let events = wire.during(tuple, span).into_iter().take(MAX_EVENTS);
    events.map(|one| event(&one, span.from_ns)).collect()
}

fn event(event: &WireEvent, start_ns: u64) -> CommitEvent {
    CommitEvent {
        after_ms: ms(event.at_ns.saturating_sub(start_ns)),
        what: event
            .kind
            .map_or(BAD_CHECKSUM, RetransmitKind::name)
            .to_owned(),
        segments: event.segments,
        timeout_ms: event.timeout_ns.map(ms),
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}
