//! The primary goes: in good order, or like a power cut.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use serde_json::json;

use super::{Setup, Variant};
use crate::lab::context::RunContext;
use crate::lab::format::{self, known};
use crate::lab::outcome::{Outcome, seconds};
use crate::lab::verify::Checks;
use crate::testbed::load::record::milliseconds;

pub(super) const VARIANTS: [Variant; 2] = [
    Variant {
        experiment: "failover",
        name: "orderly",
        question: "The primary is shut down in good order, with its Patroni: how soon is there another \
                   primary, and what do clients lose?",
        seconds: (20, 40, 15),
        setup: Setup::USUAL,
        act: |run| {
            run.baseline("normal operation")?;
            run.fault_begins("db1 is shut down");
            run.cluster.shut_down("db1")?;
            run.note("nothing runs on db1 any more");
            come_back(run)
        },
        verify: verify_orderly,
    },
    Variant {
        experiment: "failover",
        name: "hard",
        question: "The primary's host loses its cable and its power: how soon is there another \
                   primary, and what do clients lose?",
        seconds: (20, 60, 15),
        setup: Setup::USUAL,
        act: |run| {
            run.baseline("normal operation")?;
            run.fault_begins("db1 loses its cable, and its power");
            run.cluster.cut_power("db1")?;
            come_back(run)
        },
        verify: verify_hard,
    },
];

fn come_back(run: &mut RunContext) -> Result<()> {
    run.hold()?;
    run.fault_ends("db1 is started again");
    run.cluster.power_on("db1")?;
    run.recover()
}

fn verify_orderly(outcome: &mut Outcome, checks: &mut Checks) -> Result<()> {
    let promotion = verify(outcome, checks);
    let lock = Duration::from_secs((outcome.timing.ttl - outcome.timing.loop_wait).into());
    checks.less(
        "nobody waited for the leader's lock to run out",
        promotion,
        Some(lock),
        format::time,
    );
    Ok(())
}

fn verify_hard(outcome: &mut Outcome, checks: &mut Checks) -> Result<()> {
    let promotion = verify(outcome, checks);
    // Renewed up to a round before the fault; noticed up to a round after its end.
    let least = outcome
        .timing
        .ttl
        .saturating_sub(outcome.timing.loop_wait + 1);
    let most = outcome.timing.ttl + 2 * outcome.timing.loop_wait;
    checks.less(
        "the leader's lock had to run out first",
        Some(Duration::from_secs(least.into())),
        promotion,
        format::time,
    );
    checks.less(
        "and not much more than that",
        promotion,
        Some(Duration::from_secs(most.into())),
        format::time,
    );
    Ok(())
}

/// What holds for both; returns how long the promotion took.
fn verify(outcome: &mut Outcome, checks: &mut Checks) -> Option<Duration> {
    let promoted = outcome.promoted();
    let promotion = outcome.since_fault(promoted);
    let both = outcome.two_primaries();
    let [first, second] = ["db1", "db2"].map(|node| outcome.reigns(node));
    let last_of_first = first.last().and_then(|(_, to)| *to);

    checks.that("db2 was promoted", promoted.is_some(), seconds(promotion));
    checks.that(
        "there was one promotion, and no other",
        (first.len(), second.len()) == (1, 1),
        format!("{} reigns of db1, {} of db2", first.len(), second.len()),
    );
    checks.that(
        "db1 had stopped to take writes before",
        both.is_zero() && last_of_first.is_some() && last_of_first <= promoted,
        format!("both took writes for {}", seconds(Some(both))),
    );
    let timelines: Vec<u64> = outcome
        .roles
        .iter()
        .filter_map(|change| change.state.member.as_ref()?.timeline)
        .collect();
    let (lowest, highest) = (timelines.iter().min(), timelines.iter().max());
    let words = |timeline| known(timeline, u64::to_string);
    checks.that(
        "the timeline rose by one",
        (lowest, highest) == (Some(&1), Some(&2)),
        format!("from {} to {}", words(lowest), words(highest)),
    );

    let gaps = outcome.gaps();
    let [write_gap, read_gap] = gaps.map(|gap| gap.map(|gap| gap.length));
    let around = |moment: Option<SystemTime>| {
        let (gap, moment) = (gaps[0]?, moment?);
        Some(gap.start <= moment && moment <= gap.start + gap.length)
    };
    checks.that(
        "the promotion lies in the longest stretch without a written answer",
        around(promoted) == Some(true),
        seconds(write_gap),
    );
    let returned = outcome.phase("fault").end;
    checks.that(
        "writes were answered again before db1 returned",
        promoted
            .and_then(|promoted| outcome.writes().first_answer(promoted))
            .zip(promoted)
            .is_some_and(|(after, promoted)| promoted + after < returned),
        "",
    );
    let failed = |record| {
        let phases = ["baseline", "fault", "recovery"];
        phases.map(|phase| outcome.figures(record, phase).failed)
    };
    let [writes_failed, reads_failed] = [outcome.writes(), outcome.reads()].map(failed);
    checks.that(
        "requests failed in the fault, and not before it",
        writes_failed[1] > 0 && writes_failed[0] + reads_failed[0] == 0,
        format!(
            "writes {}, reads {}, by phase",
            by_phase(writes_failed),
            by_phase(reads_failed)
        ),
    );

    let resets = ["db1", "db2"].map(|name| {
        let report = outcome.report(name);
        (
            report.resets.sent.unwrap_or_default(),
            report.resets.received.unwrap_or_default(),
        )
    });
    let words = vec![
        format!(
            "promotion {} after the beginning; longest stretch without an answer: writes {}, reads {}",
            seconds(promotion),
            seconds(write_gap),
            seconds(read_gap)
        ),
        format!(
            "failed requests: {} writes, {} reads",
            writes_failed.iter().sum::<usize>(),
            reads_failed.iter().sum::<usize>()
        ),
        format!(
            "resets sent and received: on db1 {} and {}, on db2 {} and {}",
            resets[0].0, resets[0].1, resets[1].0, resets[1].1
        ),
    ];
    let value = json!({
        "promotion_ms": promotion.map(milliseconds),
        "write_gap_ms": write_gap.map(milliseconds),
        "read_gap_ms": read_gap.map(milliseconds),
        "failed_writes": writes_failed.iter().sum::<usize>(),
        "failed_reads": reads_failed.iter().sum::<usize>(),
    });
    outcome.tell("failover", value, words);
    promotion
}

fn by_phase(counts: [usize; 3]) -> String {
    counts.map(|count| count.to_string()).join(" + ")
}
