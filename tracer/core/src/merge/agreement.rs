//! What one host found and the other saw of the same, in one finding.

use crate::evidence::thresholds::MAX_ECHO;
use crate::merge::model::HostFinding;
use crate::report::finding::{Cause, Confidence, Finding, WHETHER_COMMITS_WAITED, Way};

/// Whether what the report at `index` found is of these of its flows, by its evidence; what names
/// no flow, as bad checksums, may be.
pub(super) fn is_of(found: &HostFinding, index: usize, flows: &[usize]) -> bool {
    let prefix = format!("/reports/{index}/flows/");
    let evidence = found.finding.evidence.iter();
    let mut named = evidence.filter_map(|pointer| {
        let (flow, _) = pointer.strip_prefix(&prefix)?.split_once('/')?;
        flow.parse::<usize>().ok()
    });
    named.all(|flow| flows.contains(&flow))
}

/// Which of two directions is but the other's echo: what is lost takes acknowledgements with it.
pub(super) enum Echo {
    /// The first is that of the second.
    First,
    /// The second is that of the first.
    Second,
    Neither,
}

pub(super) fn weigh(one: Option<u64>, other: Option<u64>) -> Echo {
    let [one, other] = [one, other].map(|segments| segments.unwrap_or(0));
    if one.saturating_mul(MAX_ECHO) < other {
        Echo::First
    } else if other.saturating_mul(MAX_ECHO) < one {
        Echo::Second
    } else {
        Echo::Neither
    }
}

/// The primary saw the echo: acknowledgements were lost in the other direction, of which it
/// sees nothing else.
pub(super) fn turn(one: &mut HostFinding, other: &HostFinding) {
    let finding = &mut one.finding;
    finding.text = format!(
        "By what both hosts retransmitted, {}. On {}: {}. {} alone had found: {}",
        lost_way(other.finding.cause),
        other.host,
        clause(&other.finding),
        one.host,
        finding.text
    );
    finding.cause = other.finding.cause;
    finding.size.segments = other.finding.size.segments;
    finding.size.rto_doublings = other.finding.size.rto_doublings;
    finding.size.rto_max_ms = other.finding.size.rto_max_ms;
    finding.evidence.extend(other.finding.evidence.clone());
}

pub(super) fn is_damage(cause: Cause) -> bool {
    matches!(cause, Cause::DamageTowardStandby | Cause::DamageOfReplies)
}

/// Nothing came back to the primary, and the other host saw why.
pub(super) fn contradict(one: &mut HostFinding, other: &HostFinding) {
    if one.finding.cause != Cause::Partition {
        return confirm(one, other);
    }
    let finding = &mut one.finding;
    finding.text = format!(
        "The path was not cut. On {}: {}. {} alone, where nothing arrived meanwhile, had found: {}",
        other.host,
        clause(&other.finding),
        one.host,
        finding.text
    );
    finding.cause = other.finding.cause;
    finding.confidence = finding.confidence.min(Confidence::Medium);
    finding.evidence.extend(other.finding.evidence.clone());
}

/// Which way segments were lost, as a clause.
fn lost_way(cause: Cause) -> &'static str {
    match cause.way() {
        Some(Way::ToStandby) => "segments to the standby were lost",
        Some(Way::FromStandby) => "the standby's replies were lost",
        None => "segments were lost",
    }
}

/// One finding of what both saw. Segments that arrived with a bad checksum were not lost
/// otherwise, unless they are but a few of those that were.
pub(super) fn confirm(one: &mut HostFinding, other: &HostFinding) {
    let finding = &mut one.finding;
    let sizes = [finding.size.segments, other.finding.size.segments];
    let is_why = is_damage(other.finding.cause) && finding.cause != Cause::Partition;
    if is_why && !matches!(weigh(sizes[0], sizes[1]), Echo::Second) {
        finding.cause = other.finding.cause;
    }
    let way = finding.cause.way();
    let is_reverse = way.is_some() && other.finding.cause.way().is_some_and(|it| Some(it) != way);
    let by_both = match is_reverse {
        true => format!(
            " By what both hosts retransmitted, {}.",
            lost_way(finding.cause)
        ),
        false => String::new(),
    };
    finding.text = format!(
        "{} On {}: {}.{by_both}",
        finding.text,
        other.host,
        clause(&other.finding)
    );
    finding.evidence.extend(other.finding.evidence.clone());
}

/// What was seen, without what this host did not know.
pub(super) fn clause(finding: &Finding) -> &str {
    let text = finding.text.trim_end_matches('.');
    text.split_once(WHETHER_COMMITS_WAITED)
        .map_or(text, |(known, _)| known)
}

/// What the other host could not know: the primary saw that commits waited, and not for what part
/// of it this is to blame.
pub(super) fn unknown_share(primary: &str, found: HostFinding) -> HostFinding {
    if !found.finding.text.contains(WHETHER_COMMITS_WAITED) {
        return found;
    }
    let text = format!(
        "{}; how much of what commits on {} waited was due to this is not known.",
        clause(&found.finding),
        primary
    );
    HostFinding {
        finding: Finding {
            text,
            ..found.finding
        },
        ..found
    }
}

/// What the other host saw, where the primary saw what commits waited for.
pub(super) fn nobody_waited(primary: &str, found: HostFinding) -> HostFinding {
    let text = format!(
        "{}; {}, which saw what commits waited for, found none that waited for this.",
        clause(&found.finding),
        primary
    );
    HostFinding {
        finding: Finding {
            text,
            confidence: Confidence::Low,
            ..found.finding
        },
        ..found
    }
}
