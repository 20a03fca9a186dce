//! When the replication was recovering from losses.

use crate::clock::RunClock;
use crate::evidence::hold_commits;
use crate::interval::Span;
use crate::recording::loss_recovery::LossRecovery;
use crate::recording::{Recording, Recoveries};
use crate::report::recovery::RecoveryReport;
use crate::report::role::Kind;

/// By network namespace, when the replication of a primary there was recovering from a
/// loss: something was retransmitted to a standby and not acknowledged, or had arrived from
/// it with a bad checksum. Of standbys that no commit waited for, nothing is in it. `None`
/// if no single events were taken.
pub(super) fn by_namespace(recording: &Recording) -> Option<Recoveries> {
    if !recording.settings.events {
        return None;
    }
    let mut found = Recoveries::new();
    let flows = recording.flows.iter().zip(hold_commits(recording));
    let sending = flows.filter(|(flow, holds)| flow.kind() == Kind::Walsender && *holds);
    for (flow, _) in sending {
        let tuple = &flow.counters.tuple;
        let sent = recording.holes.of_flow(tuple).iter();
        let corrupted = recording.holes.received_on(tuple).iter();
        let spans = found.entry(tuple.netns).or_default();
        spans.extend(sent.chain(corrupted).map(LossRecovery::span));
    }
    for spans in found.values_mut() {
        *spans = Span::apart(std::mem::take(spans));
    }
    Some(found)
}

pub(super) fn recovery(hole: &LossRecovery, clock: RunClock) -> RecoveryReport {
    RecoveryReport {
        start: clock.utc(hole.from_ns),
        offset_s: clock.offset_s(hole.from_ns),
        duration_s: hole.span().seconds(),
        segments: hole.segments,
    }
}
