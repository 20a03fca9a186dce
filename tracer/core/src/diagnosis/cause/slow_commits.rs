//! The commit probe's commits were slow, and no sample shows what they waited for.

use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::Evidence;
use crate::evidence::blocked::{SampleInterval, WaitKind, slow};
use crate::evidence::loss_episode::loss_retransmits;
use crate::evidence::thresholds::{MIN_DURATION_S, MIN_SAMPLES, MIN_SHARE};
use crate::interval::Span;
use crate::recording::latency::LatencyInterval;
use crate::report::finding::{Cause, Confidence, Finding, Size};
use crate::text;

/// Only where nothing else says what commits waited for.
pub(super) fn finding(evidence: &Evidence<'_>, found: &[Ranked]) -> Option<Ranked> {
    let recorded = evidence.recorded;
    let is_known = found.iter().any(Ranked::explains_commits);
    let probe = recorded.probe().filter(|_| !is_known)?;
    let inside =
        |step: &&LatencyInterval| recorded.window().has(step.at_ns) && recorded.is_slow(step);
    let locked = behind_locks(evidence, found);
    let by_itself = |step: &&LatencyInterval| {
        let interval = Span {
            from_ns: step.at_ns.saturating_sub(recorded.interval_ns()),
            to_ns: step.at_ns,
        };
        interval.covered_ns(&locked) == 0
    };
    let commits = probe.commits.iter().filter(inside);
    let commits: Vec<&LatencyInterval> = commits.filter(by_itself).collect();
    let duration_s = commits.len() as f64 * recorded.interval_ns() as f64 / 1e9;
    if commits.len() < MIN_SAMPLES || duration_s < MIN_DURATION_S {
        return None;
    }
    let reads_slow = probe.reads.iter().filter(inside).count();
    let retransmitted: u64 = recorded.steps().map(loss_retransmits).sum();
    let unknown = |why: String| (Cause::NotDetermined, Confidence::Low, why);
    let (waiting, sampled) = seen_waiting(evidence);
    let (cause, confidence, why) = if !evidence.sees_waits {
        unknown("who waited for what was not visible".to_owned())
    } else if waiting > 0 && waiting as f64 >= MIN_SHARE * sampled as f64 {
        unknown(format!(
            "in {waiting} of {sampled} samples meanwhile a backend was seen waiting for a standby, too few to say why"
        ))
    } else {
        let (shows, seen) = match waiting {
            0 => ("no sample shows".to_owned(), "no backend was".to_owned()),
            some => (
                format!("only {some} of {sampled} samples show"),
                format!("in only {some} of {sampled} samples a backend was"),
            ),
        };
        if retransmitted > 0 {
            unknown(format!(
                "{} retransmitted, but {shows} a backend waiting for a standby meanwhile",
                text::segments_were(retransmitted)
            ))
        } else if reads_slow >= MIN_SAMPLES {
            unknown(format!(
                "reads were slow as well, nothing was retransmitted, and {shows} what was waited for"
            ))
        } else {
            let why = format!(
                "reads over the same path were not, {seen} seen waiting for a standby, and nothing was retransmitted"
            );
            (Cause::NotTheNetwork, Confidence::Medium, why)
        }
    };
    let finding = Finding {
        text: format!("Commits were slow in {} intervals: {why}.", commits.len()),
        cause,
        confidence,
        size: Size {
            duration_s: Some(duration_s),
            commit_max_ms: commits
                .iter()
                .filter_map(|step| step.slowest_ms())
                .reduce(f64::max),
            ..Size::default()
        },
        evidence: [
            "/postgres/probe/commits/series",
            "/postgres/probe/reads/series",
            "/selected/segments",
        ]
        .map(str::to_owned)
        .to_vec(),
    };
    Some(Ranked::new(Rank::Note, finding))
}

/// When backends waited for locks, if that was found: what a probe waits for then may be another
/// one's lock, too.
fn behind_locks(evidence: &Evidence<'_>, found: &[Ranked]) -> Vec<Span> {
    let is_found = |one: &Ranked| one.finding.cause == Cause::LockWaits;
    let locked = evidence.blocked(WaitKind::Lock).iter();
    let spans = locked.map(|one| one.span).collect();
    match found.iter().any(is_found) {
        true => Span::apart(spans),
        false => Vec::new(),
    }
}

/// Of the samples of times in which commits were slow, how many show a backend that waited for a
/// standby, and how many there are.
fn seen_waiting(evidence: &Evidence<'_>) -> (usize, usize) {
    let is_slow = |one: &&SampleInterval<'_>| slow(evidence.recorded, one.span) == Some(true);
    let during = evidence.samples.iter().filter(is_slow);
    during.fold((0, 0), |(waiting, all), one| {
        let is_waiting = WaitKind::SyncRep.waiters(one.sample) > Some(0);
        (waiting + usize::from(is_waiting), all + 1)
    })
}
