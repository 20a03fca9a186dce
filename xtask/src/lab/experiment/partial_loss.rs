//! Half of what the standby sends to the primary has a bad checksum.

use anyhow::{Context, Result};
use tracer_core::report::finding::Cause;

use super::{Setup, Variant};
use crate::lab::context::{RunContext, pause};
use crate::lab::format::{self, flows, known};
use crate::lab::outcome::{FlowKind, Outcome, retransmitted};
use crate::lab::overlap;
use crate::lab::runner::{EVENTS, Inject};
use crate::lab::verify::Checks;
use crate::testbed::load::clients::Profile;

const QUESTION: &str = "Half of the standby's segments to the primary arrive with a bad checksum: what do \
                        commits wait for, and whose segments are retransmitted?";

const SETUP: Setup = Setup {
    inject: Some(Inject {
        fault: "corrupt=50%",
        peer: "10.0.10.2",
    }),
    ..Setup::USUAL
};

pub(super) const VARIANTS: [Variant; 2] = [
    Variant {
        experiment: "partial-loss",
        name: "one-user",
        question: QUESTION,
        seconds: (20, 100, 20),
        setup: Setup {
            profile: Profile::one_user,
            ..SETUP
        },
        act,
        verify,
    },
    Variant {
        experiment: "partial-loss",
        name: "steady",
        question: QUESTION,
        seconds: (20, 100, 20),
        setup: SETUP,
        act,
        verify,
    },
];

/// tracer makes the fault itself: there is nothing to do but to wait.
fn act(run: &mut RunContext) -> Result<()> {
    run.baseline("normal operation")?;
    run.note("tracer on db2 gives half of the segments to db1 a bad checksum");
    pause(run.script.lengths.fault)?;
    run.recover()
}

fn verify(outcome: &mut Outcome, checks: &mut Checks) -> Result<()> {
    let overlap = overlap::of(outcome.report("db1"), &outcome.folder.join(EVENTS))?;
    let (db1, db2) = (outcome.report("db1"), outcome.report("db2"));

    let made = db2.faults.first().context("tracer made no fault")?;
    let hit = made.fault.hit.unwrap_or_default();
    let [refused, _] = outcome.checksum_errors;
    checks.that(
        "every segment with a bad checksum arrived and was discarded",
        hit > 0 && hit == refused,
        format!("{hit} with a bad checksum, InCsumErrors of db1 grew by {refused}"),
    );
    checks.that(
        "the fault was removed",
        made.fault.removed,
        made.fault.left_behind.clone().unwrap_or_default(),
    );

    let of = |record, phase| outcome.figures(record, phase);
    let (before, during) = (
        of(outcome.writes(), "baseline"),
        of(outcome.writes(), "fault"),
    );
    checks.less(
        "writes took longer on average in the fault",
        before.sent.mean,
        during.sent.mean,
        format::time,
    );
    checks.less(
        "fewer writes a second were answered",
        Some(during.per_second),
        Some(before.per_second),
        |it| format!("{it:.1} a second"),
    );
    let reads = of(outcome.reads(), "fault");
    checks.that(
        "no request failed",
        during.failed + reads.failed == 0,
        format!("{} writes, {} reads", during.failed, reads.failed),
    );
    checks.less(
        "reads, which wait for nobody, took less than writes on average",
        reads.sent.mean,
        during.sent.mean,
        format::time,
    );

    let (replies, log) = (
        retransmitted(db2, FlowKind::Walreceiver),
        retransmitted(db1, FlowKind::Walsender),
    );
    checks.less(
        "it is the standby that retransmitted, not the primary",
        Some(log),
        Some(replies),
        |it| format!("{it} segments"),
    );
    let doubled = flows(db2)
        .iter()
        .map(|flow| flow.backoff_max.unwrap_or_default())
        .max();
    checks.less(
        "its retransmission timeout doubled",
        Some(0),
        doubled,
        |it| format!("{it} times"),
    );
    let expected = [
        ("db1", Cause::DamageOfReplies),
        ("db2", Cause::LossOfReplies),
    ];
    for (host, cause) in expected {
        outcome.names(host, cause, checks);
    }
    outcome.both_name(Cause::DamageOfReplies, checks);
    checks.less(
        "most of the slow commits' time was the wait for the standby",
        Some(50.0),
        overlap.wait_share.map(|share| 100.0 * share),
        format::percent,
    );
    checks.less(
        "most slow commits waited while a reply was retransmitted",
        Some(overlap.commits / 2),
        Some(overlap.overlapped),
        |it| format!("{it} commits"),
    );
    let postgres = db1.postgres.as_ref();
    let samples = postgres.map_or(&[][..], |postgres| &postgres.series);
    let streaming = samples.iter().filter(|entry| {
        entry.sample.standbys.first().is_some_and(|standby| {
            standby.state.as_deref() == Some("streaming")
                && standby.sync_state.as_deref() == Some("sync")
        })
    });
    let streaming = streaming.count();
    checks.that(
        "the primary called its standby `streaming` and `sync` all the time",
        streaming > 0 && streaming == samples.len(),
        format!("in {streaming} of {} samples", samples.len()),
    );

    let longest = db2.flows.first().and_then(|flow| flow.rto_max_ms);
    let mut words = overlap.words();
    words.push(format!(
        "the standby retransmitted {replies} segments and the primary {log}; the standby's timeout doubled up to {} times in a row, to {}",
        doubled.unwrap_or_default(),
        known(longest, format::milliseconds),
    ));
    outcome.tell("overlap", overlap.json(), words);
    Ok(())
}
