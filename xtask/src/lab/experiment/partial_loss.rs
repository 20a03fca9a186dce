//! Half of what the standby sends to the primary is damaged on the way.

use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use super::Variant;
use crate::lab::clients::Profile;
use crate::lab::context::{RunContext, pause};
use crate::lab::format::{self, UNKNOWN};
use crate::lab::outcome::{Outcome, causes, flows, list, measured, number, resent, text};
use crate::lab::overlap;
use crate::lab::runner::Inject;
use crate::lab::verify::Checks;

const QUESTION: &str = "Half of the standby's segments to the primary arrive damaged: what do \
                        commits wait for, and whose segments are sent again?";

const INJECT: Option<Inject> = Some(Inject {
    fault: "corrupt=50%",
    peer: "10.0.10.2",
});

pub(super) const VARIANTS: [Variant; 2] = [
    Variant {
        experiment: "partial-loss",
        name: "one-user",
        question: QUESTION,
        seconds: (20, 100, 20),
        profile: Profile::one_user,
        inject: INJECT,
        watch: &[],
        own_disk: false,
        act,
        verify,
    },
    Variant {
        experiment: "partial-loss",
        name: "steady",
        question: QUESTION,
        seconds: (20, 100, 20),
        profile: Profile::steady,
        inject: INJECT,
        watch: &[],
        own_disk: false,
        act,
        verify,
    },
];

/// tracer makes the fault itself: there is nothing to do but to wait.
fn act(run: &mut RunContext) -> Result<()> {
    run.note("normal operation");
    run.baseline()?;
    run.note("tracer on db2 damages half of the segments to db1");
    pause(run.lengths.fault)?;
    run.recover()
}

fn verify(outcome: &mut Outcome, checks: &mut Checks, folder: &Path) -> Result<()> {
    let overlap = overlap::of(outcome.report("db1"), &folder.join("events.jsonl"))?;
    let (db1, db2) = (outcome.report("db1"), outcome.report("db2"));

    let hit = number(db2, "/faults/0/hit");
    let [refused, _] = outcome.checksum_errors;
    checks.that(
        "every segment that was damaged arrived and was refused",
        hit > 0 && hit == refused,
        format!("{hit} damaged, InCsumErrors of db1 grew by {refused}"),
    );
    checks.that(
        "the fault was removed",
        db2.pointer("/faults/0/removed") == Some(&Value::Bool(true)),
        text(db2, "/faults/0/left_behind"),
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

    let (replies, log) = (resent(db2, "walreceiver"), resent(db1, "walsender"));
    checks.less(
        "it is the standby that sent again, not the primary",
        Some(log),
        Some(replies),
        |it| format!("{it} segments"),
    );
    let doubled = flows(db2)
        .iter()
        .map(|flow| number(flow, "/backoff_max"))
        .max();
    checks.less(
        "its retransmission timeout doubled",
        Some(0),
        doubled,
        |it| format!("{it} times"),
    );
    let expected = [("db1", "damage_of_replies"), ("db2", "loss_of_replies")];
    for (host, cause) in expected {
        let found = causes(outcome.report(host));
        checks.that(
            &format!("tracer on {host} names the cause, `{cause}`"),
            found.first().is_some_and(|first| first == cause),
            found.join(", "),
        );
    }
    checks.less(
        "most of the slow commits' time was the wait for the standby",
        Some(50.0),
        overlap.wait_share.map(|share| 100.0 * share),
        format::percent,
    );
    checks.less(
        "most slow commits waited while a reply was sent again",
        Some(overlap.commits / 2),
        Some(overlap.overlapped),
        |it| format!("{it} commits"),
    );
    let samples = list(db1, "/postgres/series");
    let streaming = samples.iter().filter(|sample| {
        text(sample, "/standbys/0/state") == "streaming"
            && text(sample, "/standbys/0/sync_state") == "sync"
    });
    let streaming = streaming.count();
    checks.that(
        "the primary called its standby `streaming` and `sync` all the time",
        streaming > 0 && streaming == samples.len(),
        format!("in {streaming} of {} samples", samples.len()),
    );

    let longest = measured(db2, "/flows/0/rto_max_ms");
    let mut words = overlap.words();
    words.push(format!(
        "the standby sent {replies} segments again and the primary {log}; the standby's timeout doubled up to {} times in a row, to {}",
        doubled.unwrap_or_default(),
        longest.map_or(UNKNOWN.to_owned(), format::milliseconds),
    ));
    outcome.tell("overlap", overlap.json(), words);
    Ok(())
}
