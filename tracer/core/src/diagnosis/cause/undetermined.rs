//! Commits waited for a standby, and the data do not show why.

use crate::diagnosis::rank::{Rank, Ranked};
use crate::diagnosis::seen_events::{WaitEvent, clause};
use crate::evidence::Evidence;
use crate::evidence::blocked::SampleInterval;
use crate::evidence::commit_stages::StageSums;
use crate::evidence::rtt;
use crate::evidence::thresholds::{MIN_SHARE, MIN_UNEXPLAINED_SHARE, NEARLY_ALL};
use crate::evidence::waiting::Waiting;
use crate::report::finding::{Cause, Confidence, Finding};
use crate::report::stages::Stage;
use crate::text;

/// What keeps a walsender from taking WAL (`WalSndWriteData()` and `WALRead()`,
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/replication/walsender.c>).
const SENDING: [WaitEvent; 2] = [
    WaitEvent {
        kind: None,
        name: "WalSenderWriteData",
        what: "a walsender had no room to send (WalSenderWriteData)",
    },
    WaitEvent {
        kind: None,
        name: "WALRead",
        what: "WAL was read from the disk (WALRead)",
    },
];

pub(super) fn finding(evidence: &Evidence<'_>, kept: &Waiting<'_>) -> Option<Ranked> {
    if kept.share < MIN_UNEXPLAINED_SHARE || !kept.is_worth_a_finding() {
        return None;
    }
    let flows = evidence.replication(&kept.intervals);
    let spans = kept.intervals.iter().map(|one| one.span);
    let stages = StageSums::during_all(evidence.recorded, spans);
    let why = if let Some(words) = stages.words() {
        words
    } else if flows.is_empty() {
        "it replied, but its connection was not among those that were traced".to_owned()
    } else {
        let lost = match evidence.retransmitted(&kept.intervals) {
            None | Some(0) => "nothing was retransmitted meanwhile".to_owned(),
            Some(few) => format!(
                "{} retransmitted meanwhile (too few, or they had arrived)",
                text::segments_were(few)
            ),
        };
        format!(
            "it replied, {lost}, round trips were short, and no sample shows it behind with what it had received"
        )
    };
    let why = match handed_over_late(&stages, kept) {
        Some(seen) => format!("{why}; {seen}"),
        None => why,
    };
    let (text, cause, confidence) = match is_of_standby(evidence, kept, &stages) {
        true => (
            format!(
                "Commits waited for the standby itself: its host acknowledged the WAL, its reply came late, and nothing of it was lost on the way here; {why}."
            ),
            Cause::NotTheNetwork,
            kept.confidence().min(Confidence::Medium),
        ),
        false => (
            format!("Commits waited for the standby, and the data do not show why: {why}."),
            Cause::NotDetermined,
            Confidence::Low,
        ),
    };
    let finding = Finding {
        text,
        cause,
        confidence,
        size: kept.size(),
        evidence: [kept.evidence([]), flows].concat(),
    };
    Some(Ranked::new(Rank::Unexplained(kept.waited_s), finding))
}

/// What walsenders were seen to wait for, where their taking the WAL was a good part of it. It is
/// not told which walsender.
fn handed_over_late(stages: &StageSums, kept: &Waiting<'_>) -> Option<String> {
    let is_much = stages.share(&[Stage::Handover]) >= Some(MIN_SHARE);
    is_much.then(|| clause(&kept.intervals, &SENDING)).flatten()
}

/// Whether nearly all of it passed between the acknowledgement of the WAL and the reply, and no
/// reply was missing here: neither did anything arrive out of order, nor with a bad checksum, as
/// far as this kernel shows that.
fn is_of_standby(evidence: &Evidence<'_>, kept: &Waiting<'_>, stages: &StageSums) -> bool {
    let recorded = evidence.recorded;
    let is_missing = |one: &SampleInterval<'_>| {
        let serves = |flow| evidence.links.serves(flow, one.index);
        rtt::overtaken(recorded, one.span, serves)
    };
    stages.share(&[Stage::Remote]) >= Some(NEARLY_ALL)
        && recorded.bad_checksums.is_some()
        && !kept.intervals.iter().any(is_missing)
}
