//! What the report says of recoveries from losses, and how much of a commit's wait fell
//! into one.

use serde::{Deserialize, Serialize};

use super::FlowReport;
use super::assemble::Measured;
use super::correlated::hold_commits;
use crate::clock::Clock;
use crate::correlate::{Recoveries, Span};
use crate::holes::Hole;
use crate::postgres::role::Kind;

/// One hole in what the peer has: from when what was sent again first was missing to the
/// acknowledgement that closed it, both as far as its timers tell.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecoveryReport {
    /// Since when it was missing: as long before it was sent again first as that timer ran.
    pub start: String,
    /// The same from the start of the window.
    pub offset_s: f64,
    /// Until it was answered: a round trip after it was sent again last.
    pub duration_s: f64,
    /// Segments that were sent again.
    pub segments: u64,
}

impl RecoveryReport {
    /// By the clock and from the start of the run.
    #[must_use]
    pub fn new(hole: &Hole, clock: &Clock, start_ns: u64) -> Self {
        Self {
            start: clock.utc(hole.from_ns),
            offset_s: (hole.from_ns as f64 - start_ns as f64) / 1e9,
            duration_s: span(hole).seconds(),
            segments: hole.segments,
        }
    }
}

fn span(hole: &Hole) -> Span {
    Span {
        from_ns: hole.from_ns,
        to_ns: hole.to_ns,
    }
}

/// By network namespace, when the replication of a primary there was recovering from a
/// loss: something was sent again to a standby and not answered, or had arrived damaged
/// from it. Of standbys that no commit waited for, nothing is in it. `None` if no single
/// events were taken.
pub(super) fn by_namespace(measured: &Measured<'_>, flows: &[FlowReport]) -> Option<Recoveries> {
    if !measured.config.wants_events() {
        return None;
    }
    let mut found = Recoveries::new();
    let hold_commits = hold_commits(measured, flows);
    let entries = measured.table.sorted().into_iter().zip(flows);
    let sending = entries
        .zip(hold_commits)
        .filter(|((_, flow), holds)| flow.role.kind == Kind::Walsender && *holds);
    for ((entry, _), _) in sending {
        let tuple = &entry.flow.tuple;
        let sent = measured.holes.of_flow(tuple).iter();
        let damaged = measured.holes.of_peer(&tuple.remote).iter();
        let spans = found.entry(tuple.netns).or_default();
        spans.extend(sent.chain(damaged).map(span));
    }
    for spans in found.values_mut() {
        *spans = Span::apart(std::mem::take(spans));
    }
    Some(found)
}
