//! Segments are lost between primary and standby, in one direction or the other: shown by
//! what was retransmitted, by what arrived out of order, and by what did not arrive.

use crate::diagnosis::network::during_loss;
use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::Evidence;
use crate::evidence::standby_wait::longest_unbroken_s;
use crate::evidence::waiting::Waiting;
use crate::report::finding::{Cause, Confidence, Finding, Size};
use crate::report::role::Kind;
use crate::text;

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Ranked> {
    let out_of_order = evidence.waiting_where(|one| one.is_out_of_order);
    let nothing = evidence.waiting_where(|one| one.received_nothing);
    // Of each direction in which enough was retransmitted.
    let retransmitted = evidence
        .significant_losses()
        .filter(|(loss, during)| !loss.is_bad_checksums() && during.partition.is_none());
    retransmitted
        .map(|(loss, during)| {
            // A path that was cut shows the same as long as little is retransmitted.
            let silent_s = during.possible_partition_s;
            during_loss(evidence, loss, &during.waiting, silent_s)
        })
        .chain(received_out_of_order(evidence, &out_of_order))
        .chain(received_nothing(evidence, &nothing))
        .collect()
}

/// The standby replied, and what arrived could not be read.
fn received_out_of_order(evidence: &Evidence<'_>, waiting: &Waiting<'_>) -> Option<Ranked> {
    let silent_s = longest_unbroken_s(waiting.intervals.iter().map(|one| one.span));
    let size = Size {
        silent_s: Some(silent_s),
        ..waiting.size()
    };
    of_socket(
        evidence,
        waiting,
        Kind::Walsender,
        Cause::LossOfReplies,
        size,
        |name| {
            format!(
                "Commits waited for standby {name}, whose replies arrived out of order for up to {silent_s:.1} s: a segment before them was lost on the way here, or was very late, and the server could not read them, {}.",
                waiting.during()
            )
        },
    )
}

/// The primary says that it sent, and nothing arrives here.
fn received_nothing(evidence: &Evidence<'_>, waiting: &Waiting<'_>) -> Option<Ranked> {
    let size = waiting.size();
    of_socket(
        evidence,
        waiting,
        Kind::Walreceiver,
        Cause::LossTowardStandby,
        size,
        |name| {
            format!(
                "Commits waited for this standby, where nothing arrived of the WAL that primary {name} says it has sent, {}: it was lost on the way, or is held back on the primary's host, where that can be seen.",
                waiting.during()
            )
        },
    )
}

/// What rests on the readings of a socket of this role alone: it is never sure.
fn of_socket(
    evidence: &Evidence<'_>,
    waiting: &Waiting<'_>,
    role: Kind,
    cause: Cause,
    size: Size,
    text: impl FnOnce(&str) -> String,
) -> Option<Ranked> {
    if !waiting.is_worth_a_finding() {
        return None;
    }
    let flows = &evidence.recorded.flows;
    let mut serving = evidence.links.serving(&waiting.intervals);
    let index = serving.find(|flow| flows.get(*flow).is_some_and(|track| track.kind() == role))?;
    let finding = Finding {
        text: text(&text::name(&flows.get(index)?.name)),
        cause,
        confidence: waiting.confidence().min(Confidence::Medium),
        size,
        evidence: waiting.evidence([format!("/flows/{index}/path/series")]),
    };
    Some(Ranked::new(Rank::Waited(waiting.waited_s), finding))
}
