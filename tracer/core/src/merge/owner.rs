//! Whose the waiting was, where it was followed through both hosts: what was measured comes
//! before what one of them could only infer.

use crate::evidence::thresholds::{MIN_PART_OF_COMMITS, MIN_SHARE};
use crate::merge::journey::{Journey, JourneyStages};
use crate::merge::model::HostFinding;
use crate::report::finding::{Cause, Confidence, Finding, Size};

/// A part of a standby that commits can wait for.
struct Part {
    cause: Cause,
    what: &'static str,
    /// Its field, for the pointer.
    field: &'static str,
    of: fn(&JourneyStages) -> f64,
}

/// Causes that this host can only tell by what it measured of both. What lies between the hosts
/// is none of these: it may be the network or a receiver without room.
const PARTS: [Part; 3] = [
    Part {
        cause: Cause::StandbyFlush,
        what: "the standby's flush",
        field: "standby_flush",
        of: |stages| stages.standby_flush,
    },
    Part {
        cause: Cause::StandbyApply,
        what: "the standby's replay",
        field: "standby_apply",
        of: |stages| stages.standby_apply,
    },
    Part {
        cause: Cause::StandbyNotReplying,
        what: "the standby's walreceiver, which was slow to read, write or answer WAL that had arrived",
        field: "standby_read",
        of: JourneyStages::standby_processor,
    },
];

/// Puts first what most of the waiting was for, if that was on the standby and the primary found
/// that commits waited for it, or for something that it could not see. `index` is the journey's
/// place in the merged file.
pub(crate) fn own(findings: &mut Vec<HostFinding>, standby: &str, journey: &Journey, index: usize) {
    let Some(first) = findings.first() else {
        return;
    };
    if !may_be_elsewhere(first.finding.cause) {
        return;
    }
    if !is_most_of(&first.finding, journey) {
        return;
    }
    let share = |part: &Part| (part.of)(&journey.stages_ms) / journey.waited_ms;
    let most = PARTS.iter().max_by(|a, b| share(a).total_cmp(&share(b)));
    let Some(part) = most.filter(|part| share(part) >= MIN_PART_OF_COMMITS) else {
        return;
    };
    let evidence = format!("/journeys/{index}/stages_ms/{}", part.field);
    let told = journey.told();
    // What kept the walreceiver from running is more than that it did not.
    let is_explained = |cause| cause == part.cause || explains(cause, part.cause);
    if let Some(at) = findings
        .iter()
        .position(|one| is_explained(one.finding.cause))
    {
        let mut known = findings.remove(at);
        known.finding.text = format!("{} {told}", known.finding.text);
        known.finding.confidence = Confidence::High;
        known.finding.evidence.push(evidence);
        findings.insert(0, known);
        return;
    }
    let size = first.finding.size;
    let mut evidence = vec![evidence];
    // That it was not known is over.
    findings.retain(|one| {
        let is_open = matches!(
            one.finding.cause,
            Cause::NotTheNetwork | Cause::NotDetermined
        );
        if is_open {
            evidence.extend(one.finding.evidence.clone());
        }
        !is_open
    });
    findings.insert(
        0,
        HostFinding {
            host: standby.to_owned(),
            finding: Finding {
                text: format!(
                    "Commits on {} waited for {}. {told}",
                    journey.host, part.what
                ),
                cause: part.cause,
                confidence: Confidence::High,
                size: Size {
                    duration_s: size.duration_s,
                    waited_s: Some(journey.waited_ms / 1e3),
                    waiters_max: size.waiters_max,
                    commit_max_ms: size.commit_max_ms,
                    explained_percent: Some(100.0 * share(part)),
                    ..Size::default()
                },
                evidence,
            },
        },
    );
}

/// Takes back what the primary inferred of the standby's host where that was measured, and most
/// of the waiting passed between the hosts: if the primary saw a loss there, it was that.
pub(crate) fn refute(findings: &mut Vec<HostFinding>, journey: &Journey, index: usize) {
    let stages = &journey.stages_ms;
    if stages.network() < MIN_PART_OF_COMMITS * journey.waited_ms {
        return;
    }
    let evidence = format!("/journeys/{index}/stages_ms/{}", stages.longest_way());
    let mut is_refuted = false;
    for HostFinding { finding, .. } in &mut *findings {
        let part = PARTS.iter().find(|part| part.cause == finding.cause);
        let Some(part) = part.filter(|part| is_ruled_out(part, finding, journey)) else {
            continue;
        };
        finding.text = format!(
            "Commits on {} waited for the standby. {} The primary alone had taken it for {}; what was measured on both hosts rules that out.",
            journey.host,
            journey.told(),
            part.what
        );
        finding.cause = Cause::NotDetermined;
        finding.confidence = Confidence::Low;
        finding.evidence.push(evidence.clone());
        is_refuted = true;
    }
    let lost = findings.iter().position(|one| one.finding.cause.is_loss());
    if let Some(at) = lost.filter(|_| is_refuted) {
        let mut lost = findings.remove(at);
        lost.finding.text = format!("{} {}", lost.finding.text, journey.told());
        lost.finding.confidence = lost.finding.confidence.max(Confidence::Medium);
        lost.finding.evidence.push(evidence);
        findings.retain(|one| one.finding.cause != Cause::NotDetermined);
        findings.insert(0, lost);
    }
}

/// Whether what was followed is most of what a finding is of. Commits that still waited when the
/// run ended were not followed: what a few others waited for is not what they wait for.
fn is_most_of(finding: &Finding, journey: &Journey) -> bool {
    let waited_s = finding.size.waited_s.unwrap_or(0.0);
    journey.waited_ms > 0.0 && journey.waited_ms / 1e3 >= MIN_PART_OF_COMMITS * waited_s
}

/// Whether a part cannot be what a finding says that it is, even if it was all that was not
/// followed.
fn is_ruled_out(part: &Part, finding: &Finding, journey: &Journey) -> bool {
    let (followed_s, part_s) = (journey.waited_ms / 1e3, (part.of)(&journey.stages_ms) / 1e3);
    if followed_s <= 0.0 || part_s >= MIN_SHARE * followed_s {
        return false;
    }
    let own_s = finding.size.waited_s.unwrap_or(0.0);
    let share = finding.size.explained_percent.unwrap_or(100.0) / 100.0;
    let all_s = if share > 0.0 { own_s / share } else { own_s };
    let unknown_s = (all_s - followed_s).max(0.0);
    own_s == 0.0 || part_s + unknown_s < MIN_PART_OF_COMMITS * own_s
}

/// Whether what a primary found is of the standby or of the way there.
fn may_be_elsewhere(cause: Cause) -> bool {
    !matches!(
        cause,
        Cause::WalFlush
            | Cause::LockWaits
            | Cause::SyncWaitOff
            | Cause::StandbyGone
            | Cause::PeerNotAnswering
            | Cause::PeerLosing
    )
}

fn explains(cause: Cause, part: Cause) -> bool {
    cause == Cause::CpuStarvation && part == Cause::StandbyNotReplying
}

#[cfg(test)]
mod tests;
