//! Where no server was asked: what single commits waited for tells as well.

use crate::diagnosis::judge::clue::{Clue, clues};
use crate::diagnosis::judge::{Case, LEAST_S, LEAST_SAMPLES, Weighed, by_share};
use crate::evidence::links::by_standby;
use crate::evidence::rtt;
use crate::interval::Span;
use crate::recording::roles::Kind;
use crate::recording::{Recorded, SlowCommit};
use crate::report::finding::{Cause, Confidence, Finding, Size};
use crate::text;

/// What takes as much of the slow commits' time is what made them slow.
const MOST: f64 = 0.5;
/// During so much of it has to have arrived something out of order for that to be why: a
/// look takes in more than the wait itself.
const OVERTAKEN: f64 = 0.7;
/// Of their waiting, so much has to fall into recoveries from losses.
const CHARGED: f64 = 0.4;

pub(crate) fn judge(case: &Case<'_>) -> Option<Weighed> {
    let slow = case.recorded.slow.as_deref()?;
    let seconds = |of: fn(&SlowCommit) -> u64| slow.iter().map(of).sum::<u64>() as f64 / 1e9;
    let total_s = seconds(|one| one.whole.length_ns());
    if slow.len() < LEAST_SAMPLES || total_s < LEAST_S {
        return None;
    }
    let wait_s = seconds(|one| one.wait.length_ns());
    let flush_s = seconds(|one| one.flush_ns);
    let charged_s = slow
        .iter()
        .map(|one| one.in_recovery_ns)
        .sum::<Option<u64>>()
        .map(|ns| ns as f64 / 1e9);
    let of = format!("{} slow commits took {total_s:.1} s in all", slow.len());
    let (cause, confidence, why) = if starved(case, slow) {
        (
            Cause::CpuStarvation,
            Confidence::Medium,
            "their server was ready to run for most of it and had no processor".to_owned(),
        )
    } else if wait_s >= MOST * total_s {
        waited(case, slow, (wait_s, total_s), charged_s)
    } else if flush_s >= MOST * total_s {
        let why = format!("{flush_s:.1} s of it to bring the log to the primary's own disk");
        (Cause::WalFlush, by_share(flush_s / total_s), why)
    } else {
        let why = format!(
            "{wait_s:.1} s of it waiting for a standby and {flush_s:.1} s to bring the log to the disk: what took the rest, {:.1} s, is not told apart",
            total_s - wait_s - flush_s
        );
        (Cause::NotDetermined, Confidence::Low, why)
    };
    let slowest = slow.iter().map(|one| one.whole.length_ns()).max()?;
    let clue = network(cause, case);
    let of_clue = clue.as_ref().map(|clue| clue.size(case.recorded));
    Some((
        total_s,
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
                        .filter(|_| clue.is_some())
                        .map(|charged_s| 100.0 * charged_s / total_s),
                },
                ..of_clue.unwrap_or_default()
            },
            evidence: ["/commits/slow", "/commits/servers"]
                .map(str::to_owned)
                .into_iter()
                .chain(clue.map(|clue| clue.evidence()).unwrap_or_default())
                .collect(),
        },
    ))
}

/// The signs that a verdict on the network rests on.
fn network(cause: Cause, case: &Case<'_>) -> Option<Clue> {
    clues(case.recorded)
        .into_iter()
        .find(|clue| clue.cause == cause)
}

/// They waited for a standby: why did it not answer?
fn waited(
    case: &Case<'_>,
    slow: &[SlowCommit],
    (wait_s, total_s): (f64, f64),
    charged_s: Option<f64>,
) -> (Cause, Confidence, String) {
    let waited = format!("{wait_s:.1} s of it waiting for a standby");
    let Some(charged_s) = charged_s else {
        let why = format!("{waited}, whose connection was not among those that were traced");
        return (Cause::NotDetermined, Confidence::Low, why);
    };
    let share = charged_s / wait_s;
    if share >= CHARGED {
        let recovering = format!(
            "{waited}, and {:.0} % of that while the replication recovered from a loss",
            100.0 * share
        );
        let Some(clue) = clues(case.recorded).into_iter().next() else {
            let why = recovering + ", of which too little is seen from here to say which way";
            return (Cause::NotDetermined, Confidence::Low, why);
        };
        let why = format!("{recovering}: {}", clue.what());
        let confidence = clue.most(by_share(charged_s / total_s));
        return match standbys(case.recorded) {
            0 | 1 => (clue.cause, confidence, why),
            several => {
                let doubt = format!(
                    "{why}; which of the {several} standbys commits wait for is not known without --pg"
                );
                (clue.cause, Confidence::Low, doubt)
            }
        };
    }
    let waits: Vec<Span> = slow.iter().map(|one| one.wait).collect();
    let overtaken = waits.iter().filter(|wait| {
        let seen = rtt::until_next_look(case.recorded, **wait);
        rtt::overtaken(case.recorded, seen, |_| true)
    });
    let overtaken_s: f64 = overtaken.map(|wait| wait.seconds()).sum();
    if overtaken_s >= OVERTAKEN * wait_s {
        let why = format!(
            "{waited}, and during {:.0} % of that replies arrived out of order: one sent before them was missing, which was lost on the way here, or came late",
            100.0 * overtaken_s / wait_s
        );
        let confidence = by_share(overtaken_s / total_s).min(Confidence::Medium);
        return (Cause::LossOfReplies, confidence, why);
    }
    let long = waits
        .iter()
        .filter_map(|wait| rtt::long_beside(case.recorded, *wait))
        .max_by(|(_, a), (_, b)| a.total_cmp(b));
    if let Some((index, ms)) = long
        && let Some(track) = case.recorded.flows.get(index)
    {
        let why = format!(
            "{waited}, and a round trip to {} took up to {ms:.0} ms while little of it was lost",
            text::name(&track.name)
        );
        return (Cause::NetworkDelay, Confidence::Medium, why);
    }
    let little = format!(
        "{waited}, {:.0} % of that while the replication recovered from a loss that is seen from here, and round trips were short",
        100.0 * share
    );
    // What a standby sends again is seen on its own host: here, what arrives damaged is.
    if case.recorded.damaged.is_some() {
        let why = little + ": the standby itself was slow to answer";
        let confidence = by_share(wait_s / total_s).min(Confidence::Medium);
        return (Cause::NotTheNetwork, confidence, why);
    }
    let why = little + "; whether its replies arrived damaged, this kernel does not show";
    (Cause::NotDetermined, Confidence::Low, why)
}

/// How many standbys are served from here.
fn standbys(recorded: &Recorded<'_>) -> usize {
    by_standby(recorded, Kind::Walsender).len()
}

/// Whether most of their time their server had no processor.
fn starved(case: &Case<'_>, slow: &[SlowCommit]) -> bool {
    let without = slow.iter().filter(|commit| {
        let mut servers = case.starved.iter();
        servers.any(|one| one.track.pid == commit.server && one.is_at(commit.whole))
    });
    let without: u64 = without.map(|one| one.whole.length_ns()).sum();
    let all: u64 = slow.iter().map(|one| one.whole.length_ns()).sum();
    without as f64 >= MOST * all as f64
}
