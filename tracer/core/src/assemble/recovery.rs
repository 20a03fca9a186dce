//! When the replication was recovering from losses.

use crate::assemble::Measured;
use crate::assemble::correlated::hold_commits;
use crate::interval::Span;
use crate::recording::Recoveries;
use crate::recording::roles::Kind;
use crate::report::FlowReport;
use crate::report::recovery::span;

/// By network namespace, when the replication of a primary there was recovering from a
/// loss: something was sent again to a standby and not answered, or had arrived damaged
/// from it. Of standbys that no commit waited for, nothing is in it. `None` if no single
/// events were taken.
pub(crate) fn by_namespace(measured: &Measured<'_>, flows: &[FlowReport]) -> Option<Recoveries> {
    if !measured.asked.events {
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
