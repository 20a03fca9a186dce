//! etcd, by which Patroni knows who leads, loses one member, or its quorum.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use serde_json::json;

use super::{Setup, Variant};
use crate::lab::context::RunContext;
use crate::lab::format;
use crate::lab::outcome::{Outcome, seconds};
use crate::lab::verify::Checks;
use crate::lab::watch;
use crate::testbed::load::record::milliseconds;

pub(super) const VARIANTS: [Variant; 2] = [
    Variant {
        experiment: "dependency",
        name: "one-member",
        question: "etcd loses one of three members: does anybody notice?",
        seconds: (15, 45, 10),
        setup: Setup::USUAL,
        act: |run| act(run, &["etcd1"]),
        verify: verify_one,
    },
    Variant {
        experiment: "dependency",
        name: "quorum",
        question: "etcd loses two of three members, and with them its quorum: what does Patroni \
                   do, when, and what do clients lose?",
        seconds: (15, 60, 15),
        setup: Setup::USUAL,
        act: |run| act(run, &["etcd1", "etcd2"]),
        verify: verify_quorum,
    },
];

fn act(run: &mut RunContext, members: &[&'static str]) -> Result<()> {
    run.baseline("normal operation")?;
    run.fault_begins(format!("killed: {}", members.join(" and ")));
    for member in members {
        run.cluster.kill(member)?;
    }
    run.hold()?;
    run.fault_ends("they are started again");
    for member in members {
        run.cluster.start_etcd(member)?;
    }
    run.recover()
}

fn verify_one(outcome: &mut Outcome, checks: &mut Checks) -> Result<()> {
    let reigns = ["db1", "db2"].map(|node| outcome.reigns(node).len());
    checks.that(
        "the primary stayed the primary",
        reigns == [1, 0],
        format!("{} reigns of db1, {} of db2", reigns[0], reigns[1]),
    );
    let [writes, reads] = [outcome.writes(), outcome.reads()].map(|record| {
        let phases = ["fault", "recovery"];
        let failed = phases.map(|phase| outcome.figures(record, phase).failed);
        failed.iter().sum::<usize>()
    });
    checks.that(
        "no request failed",
        writes + reads == 0,
        format!("{writes} writes, {reads} reads"),
    );
    let gap = outcome.gap(outcome.writes()).map(|gap| gap.length);
    let words = vec![format!(
        "the longest stretch without a written answer was {}",
        seconds(gap)
    )];
    outcome.tell("write_gap_ms", json!(gap.map(milliseconds)), words);
    Ok(())
}

fn verify_quorum(outcome: &mut Outcome, checks: &mut Checks) -> Result<()> {
    let fault = outcome.phase("fault");
    let demoted = outcome.reigns("db1").first().and_then(|(_, to)| *to);
    checks.that(
        "Patroni made the primary give up, though nothing was wrong with it",
        demoted.is_some_and(|at| fault.contains(at)),
        seconds(outcome.since_fault(demoted)),
    );
    let most = outcome.timing.ttl + outcome.timing.loop_wait;
    checks.less(
        "within the time that its lock was good for",
        outcome.since_fault(demoted),
        Some(Duration::from_secs(most.into())),
        format::time,
    );
    let again = watch::next_reign(&outcome.roles, fault.start);
    checks.that(
        "nobody took writes before etcd was whole again",
        again.is_some_and(|at| at >= fault.end),
        seconds(outcome.since_fault(again)),
    );
    let both = outcome.two_primaries();
    checks.that(
        "never did both databases take writes",
        both.is_zero(),
        seconds(Some(both)),
    );
    let gaps = outcome.gaps();
    let [writes, reads] = gaps.map(|gap| gap.map(|gap| gap.length));
    let reached = |moment: Option<SystemTime>| moment.is_some_and(|at| fault.contains(at));
    checks.that(
        "clients could not write from then on until the end of the fault",
        reached(gaps[0].map(|gap| gap.start))
            && gaps[0].is_some_and(|gap| gap.start + gap.length > fault.end),
        seconds(writes),
    );
    let back = again.and_then(|at| at.duration_since(fault.end).ok());
    let words = vec![format!(
        "the primary gave up {} after etcd had lost its quorum; there was one again {} after etcd was whole; without an answer: writes {}, reads {}",
        seconds(outcome.since_fault(demoted)),
        seconds(back),
        seconds(writes),
        seconds(reads)
    )];
    let value = json!({
        "demoted_after_ms": outcome.since_fault(demoted).map(milliseconds),
        "primary_again_after_ms": back.map(milliseconds),
        "write_gap_ms": writes.map(milliseconds),
        "read_gap_ms": reads.map(milliseconds),
    });
    outcome.tell("quorum", value, words);
    Ok(())
}
