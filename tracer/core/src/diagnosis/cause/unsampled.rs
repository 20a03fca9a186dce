//! What can be said where no sample shows who waits for what: what single commits waited
//! for, or else only what was lost.

use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::Evidence;
use crate::evidence::commit_stages::{FROM_STANDBY, StageSums, TO_STANDBY};
use crate::evidence::links::by_standby;
use crate::evidence::loss::{self, LossSignal};
use crate::evidence::loss_times::LossTimes;
use crate::evidence::rtt;
use crate::evidence::thresholds::{
    MIN_DURATION_S, MIN_OUT_OF_ORDER_SHARE, MIN_PART_OF_COMMITS, MIN_RECOVERY_SHARE, MIN_SAMPLES,
    MIN_SHARE, NEARLY_ALL,
};
use crate::evidence::waiting::by_share;
use crate::interval::Span;
use crate::recording::Recording;
use crate::recording::slow_commit::SlowCommit;
use crate::report::finding::{Cause, Confidence, Finding, NOBODY_SHOWED_WHO_WAITS, Size};
use crate::report::role::Kind;
use crate::report::stages::Stage;
use crate::text;

/// Commits are slow for as long at least where only what is usual says so, s: two looks, of which
/// there is one a second.
const MIN_UNUSUAL_S: f64 = 1.5;

/// Waits that are over before the next sample are in none, either.
pub(super) fn finding(evidence: &Evidence<'_>, found: &[Ranked]) -> Option<Ranked> {
    if evidence.sees_waits && found.iter().any(Ranked::explains_commits) {
        return None;
    }
    traced(evidence).or_else(|| lost(evidence))
}

/// Where it is not known who waited: what was seen, and no more.
fn lost(evidence: &Evidence<'_>) -> Option<Ranked> {
    let loss = evidence
        .losses_of_run
        .first()
        .filter(|_| !evidence.sees_waits)?;
    let finding = Finding {
        text: format!("{}{NOBODY_SHOWED_WHO_WAITS}", loss.what),
        cause: loss.cause,
        confidence: Confidence::Low,
        size: loss.size(),
        evidence: loss.evidence(),
    };
    Some(Ranked::new(Rank::Note, finding))
}

/// What single commits waited for, where they were traced.
fn traced(evidence: &Evidence<'_>) -> Option<Ranked> {
    let (slow, usual_ms) = worth_a_finding(evidence.recorded)?;
    let slow = slow.as_slice();
    let seconds = |of: fn(&SlowCommit) -> u64| slow.iter().map(of).sum::<u64>() as f64 / 1e9;
    let total_s = seconds(|one| one.whole.length_ns());
    let wait_s = seconds(|one| one.wait.length_ns());
    let flush_s = seconds(|one| one.flush_ns);
    let charged_s = slow
        .iter()
        .map(|one| one.in_recovery_ns)
        .sum::<Option<u64>>()
        .map(|ns| ns as f64 / 1e9);
    // What was lost while they waited.
    let waits = slow.iter().map(|one| one.wait);
    let times = LossTimes::of_waits(waits, evidence.recorded.interval_ns());
    let losses = loss::signals(evidence.recorded, &times);
    let of = match slow.len() {
        1 => format!("One commit took {total_s:.1} s"),
        count => format!("{count} slow commits took {total_s:.1} s in all"),
    };
    let (cause, confidence, why) = if starved(evidence, slow) {
        (
            Cause::CpuStarvation,
            Confidence::Medium,
            "for most of it their server waited for a CPU".to_owned(),
        )
    } else if wait_s >= MIN_PART_OF_COMMITS * total_s {
        waited(evidence, slow, (wait_s, total_s), charged_s, losses.first())
    } else if flush_s >= MIN_PART_OF_COMMITS * total_s {
        let why = format!("{flush_s:.1} s of it to flush WAL to the primary's own disk");
        (Cause::WalFlush, by_share(flush_s / total_s), why)
    } else {
        let why = format!(
            "{wait_s:.1} s of it waiting for a standby and {flush_s:.1} s to flush WAL: what took the other {:.1} s is not known",
            total_s - wait_s - flush_s
        );
        (Cause::NotDetermined, Confidence::Low, why)
    };
    // What one commit shares its time with may be chance; and what is slow only by a server's
    // own measure may be other work than before.
    let may_be_chance = slow.len() < MIN_SAMPLES && cause != Cause::WalFlush;
    let confidence = match may_be_chance || usual_ms.is_some() {
        true => confidence.min(Confidence::Medium),
        false => confidence,
    };
    let slowest = slow.iter().map(|one| one.whole.length_ns()).max()?;
    let of = match usual_ms {
        Some(usual_ms) => format!(
            "{of} (up to {:.1} ms each; {usual_ms:.1} ms is usual)",
            slowest as f64 / 1e6
        ),
        None => of,
    };
    // The signs that a verdict on the network rests on.
    let loss = losses.iter().find(|one| one.cause == cause);
    let of_loss = loss.map(|one| one.size());
    Some(Ranked::new(
        Rank::Waited(total_s),
        Finding {
            text: format!("{of}, {why}."),
            cause,
            confidence,
            size: Size {
                waited_s: Some(wait_s),
                commit_max_ms: Some(slowest as f64 / 1e6),
                explained_percent: match cause {
                    Cause::WalFlush => Some(100.0 * flush_s / total_s),
                    _ => charged_s
                        .filter(|_| loss.is_some())
                        .map(|charged_s| 100.0 * charged_s / total_s),
                },
                ..of_loss.unwrap_or_default()
            },
            evidence: ["/commits/slow", "/commits/servers"]
                .map(str::to_owned)
                .into_iter()
                .chain(loss.map(LossSignal::evidence).unwrap_or_default())
                .collect(),
        },
    ))
}

/// Slow commits that took so long together that somebody noticed. Those that are slow only by
/// what is usual for their server count if nothing else does, from times in which most were; then
/// with what is usual, ms.
fn worth_a_finding(recorded: &Recording) -> Option<(Vec<SlowCommit>, Option<f64>)> {
    let slow = recorded.slow_commits.as_deref()?;
    // One may be enough: it was measured from its beginning to its end.
    let is_worth = |some: &[SlowCommit]| spent_ns(some) as f64 / 1e9 >= MIN_DURATION_S;
    let is_long = |one: &SlowCommit| one.whole.seconds() * 1e3 >= recorded.slow_ms();
    let long: Vec<SlowCommit> = slow.iter().copied().filter(is_long).collect();
    if is_worth(&long) {
        return Some((long, None));
    }
    let servers = recorded.known_servers.iter().filter_map(|known| {
        let times = &known.slow_times;
        let lasted_s: f64 = times.iter().map(|span| span.seconds()).sum();
        let is_own =
            |one: &SlowCommit| one.server == known.server && one.whole.covered_ns(times) > 0;
        let own: Vec<SlowCommit> = slow.iter().copied().filter(is_own).collect();
        let is_known = lasted_s >= MIN_UNUSUAL_S && is_worth(&own);
        is_known.then_some((own, known.usual_ns as f64 / 1e6))
    });
    let (own, usual_ms) = servers.max_by_key(|(own, _)| spent_ns(own))?;
    Some((own, Some(usual_ms)))
}

/// How long these took together, ns.
fn spent_ns(commits: &[SlowCommit]) -> u64 {
    let each = commits.iter().map(|one| one.whole.length_ns());
    each.fold(0, u64::saturating_add)
}

/// They waited for a standby: why did it not answer?
fn waited(
    evidence: &Evidence<'_>,
    slow: &[SlowCommit],
    (wait_s, total_s): (f64, f64),
    charged_s: Option<f64>,
    loss: Option<&LossSignal>,
) -> (Cause, Confidence, String) {
    let waited = format!("{wait_s:.1} s of it waiting for a standby");
    let Some(charged_s) = charged_s else {
        let why = format!("{waited}, whose connection was not among those that were traced");
        return (Cause::NotDetermined, Confidence::Low, why);
    };
    let stages = StageSums::of(slow);
    if stages.share(&[Stage::Release, Stage::Wakeup]) >= Some(MIN_PART_OF_COMMITS) {
        let words = stages.words().unwrap_or_default();
        let why =
            format!("{waited}, most of it on this host, after the reply had arrived: {words}");
        return (Cause::NotTheNetwork, Confidence::Medium, why);
    }
    let share = charged_s / wait_s;
    let waits: Vec<Span> = slow.iter().map(|one| one.wait).collect();
    let is_in_flight = |wait: &Span| {
        let seen = rtt::until_next_reading(evidence.recorded, *wait);
        rtt::is_in_flight(evidence.recorded, seen, |_| true)
    };
    if loss.is_none()
        && stages.share(&[Stage::Acknowledged]) >= Some(NEARLY_ALL)
        && waits.iter().any(is_in_flight)
    {
        let stages = slow.iter().filter_map(|one| one.stages);
        let latest_ns = stages.map(|one| one.ns[Stage::Acknowledged as usize]).max();
        let latest_ms = latest_ns.unwrap_or(0) as f64 / 1e6;
        let why = format!(
            "{waited}, nearly all of it until the standby's host had acknowledged what was in flight to it, after up to {latest_ms:.0} ms, with little or nothing lost. The path held it up, or that host stood still"
        );
        return (Cause::NetworkDelay, Confidence::Medium, why);
    }
    let loss_is_ruled_out = loss.is_some_and(|loss| stages.rule_out(loss.stages()));
    if share >= MIN_RECOVERY_SHARE && !loss_is_ruled_out {
        let recovering = format!(
            "{waited}, and {:.0} % of that while the replication recovered from a loss",
            100.0 * share
        );
        let Some(loss) = loss else {
            let why = recovering + ", of which too little is seen from here to say which way";
            return (Cause::NotDetermined, Confidence::Low, why);
        };
        let why = format!("{recovering}: {}", loss.what);
        let confidence = loss.at_most(by_share(charged_s / total_s));
        return of_one_standby(evidence, (loss.cause, confidence, why));
    }
    let seen: Vec<Span> = waits
        .iter()
        .map(|wait| rtt::until_next_reading(evidence.recorded, *wait))
        .collect();
    let overtaken_s = |counts: &dyn Fn(usize) -> bool| -> f64 {
        let pairs = waits.iter().zip(&seen);
        let overtaken = pairs.filter(|(_, seen)| rtt::overtaken(evidence.recorded, **seen, counts));
        overtaken.map(|(wait, _)| wait.seconds()).sum()
    };
    let outside = Span::apart(seen.clone());
    let surely_s =
        overtaken_s(&|flow| !rtt::is_overtaken_anyway(evidence.recorded, flow, &outside));
    if surely_s >= MIN_OUT_OF_ORDER_SHARE * wait_s && !stages.rule_out(FROM_STANDBY) {
        let why = format!(
            "{waited}, and during {:.0} % of that replies arrived out of order: a segment before them was lost on the way here, or was late",
            100.0 * surely_s / wait_s
        );
        let confidence = by_share(surely_s / total_s).min(Confidence::Medium);
        return of_one_standby(evidence, (Cause::LossOfReplies, confidence, why));
    }
    let long = waits
        .iter()
        .filter_map(|wait| rtt::long_during(evidence.recorded, *wait))
        .max_by(|(_, a), (_, b)| a.total_cmp(b));
    if let Some((index, ms)) = long
        && !stages.rule_out(TO_STANDBY)
        && let Some(track) = evidence.recorded.flows.get(index)
    {
        let why = format!(
            "{waited}, and a round trip to {} took up to {ms:.0} ms while little of it was lost",
            text::name(&track.name)
        );
        let delay = (Cause::NetworkDelay, Confidence::Medium, why);
        return of_one_standby(evidence, delay);
    }
    let little = match stages.words() {
        Some(words) => format!("{waited}; {words}"),
        None => format!(
            "{waited}, {:.0} % of that while the replication recovered from a loss that is seen from here, and round trips were short",
            100.0 * share
        ),
    };
    // Who has not acknowledged WAL may not have got it, or may not have been sent it.
    if stages.share(TO_STANDBY) >= Some(MIN_PART_OF_COMMITS) {
        let why =
            little + ": whether it is the network or the standby's host is not seen from here";
        return (Cause::NotDetermined, Confidence::Low, why);
    }
    // Too much for a disk alone, and too little for the way.
    let overtaken_s = overtaken_s(&|_| true);
    if overtaken_s >= MIN_SHARE * wait_s {
        let why = format!(
            "{little}; during {:.0} % of it replies arrived out of order: whether it is the standby or the way of its replies is not seen from here",
            100.0 * overtaken_s / wait_s
        );
        return (Cause::NotDetermined, Confidence::Low, why);
    }
    // What a standby retransmits is seen on its own host: here, what arrives with a bad
    // checksum is.
    if evidence.recorded.bad_checksums.is_some() {
        let why = little + ": the standby itself was slow to answer";
        let confidence = by_share(wait_s / total_s).min(Confidence::Medium);
        return (Cause::NotTheNetwork, confidence, why);
    }
    let why =
        little + "; whether its replies arrived with a bad checksum, this kernel does not show";
    (Cause::NotDetermined, Confidence::Low, why)
}

/// What is seen of the way to one standby is hardly sure where there are several: commits may
/// wait for another one.
fn of_one_standby(
    evidence: &Evidence<'_>,
    (cause, confidence, why): (Cause, Confidence, String),
) -> (Cause, Confidence, String) {
    match standbys(evidence.recorded) {
        0 | 1 => (cause, confidence, why),
        several => {
            let doubt = match evidence.sees_waits {
                true => format!("no sample shows which of the {several} standbys they waited for"),
                false => format!(
                    "which of the {several} standbys commits wait for is not known without --pg"
                ),
            };
            (cause, Confidence::Low, format!("{why}; {doubt}"))
        }
    }
}

/// How many standbys are served from here.
fn standbys(recorded: &Recording) -> usize {
    by_standby(recorded, Kind::Walsender).len()
}

/// Whether most of their time their server had no processor.
fn starved(evidence: &Evidence<'_>, slow: &[SlowCommit]) -> bool {
    let without = slow.iter().filter(|commit| {
        let mut servers = evidence.starved.iter();
        servers.any(|one| one.track.pid == commit.server && one.is_at(commit.whole))
    });
    let without: u64 = without.map(|one| one.whole.length_ns()).sum();
    let all: u64 = slow.iter().map(|one| one.whole.length_ns()).sum();
    without as f64 >= MIN_PART_OF_COMMITS * all as f64
}
