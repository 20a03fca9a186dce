//! The standby is cut off for minutes, comes back, and has to catch up.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracer_core::report::Report;

use super::{Setup, Variant};
use crate::lab::cluster::Cluster;
use crate::lab::context::RunContext;
use crate::lab::format::{self, mebibytes};
use crate::lab::outcome::{
    FlowKind, Outcome, blames_a_cut, cause_names, retransmitted, seconds, time,
};
use crate::lab::verify::Checks;
use crate::testbed::injection::Injection;
use crate::testbed::load::Plan;
use crate::testbed::load::clients::Profile;
use crate::testbed::load::record::milliseconds;
use crate::testbed::wait;

/// 32 KiB of what does not compress well: minutes of it are much to catch up with, and
/// less than the log that a primary keeps in any case.
const WRITE: &str = "insert into lab (note) \
                     select string_agg(md5(random()::text), '') from generate_series(1, 1000)";

/// What is shorter cannot be measured: it is the time between two polls.
const MEASURABLE: Duration = Duration::from_millis(20);

/// Until it has caught up.
const CATCHING_UP: Duration = Duration::from_secs(180);

pub(super) const VARIANTS: [Variant; 1] = [Variant {
    experiment: "long-isolation",
    name: "standby",
    question: "The standby is cut off for minutes: what do commits wait for, what does the \
               primary keep for it, and how does it catch up?",
    seconds: (20, 180, 15),
    setup: Setup {
        profile: || Profile {
            writes: Plan::open(WRITE, 10.0, 4),
            ..Profile::steady()
        },
        ..Setup::USUAL
    },
    act,
    verify,
}];

fn act(run: &mut RunContext) -> Result<()> {
    run.baseline("normal operation")?;
    let cut = run.cut_off("db2")?;
    run.fault_begins("db2 is cut off from everybody");
    run.hold()?;
    let behind = position(&run.cluster)?;
    let report: Injection = cut.finish()?;
    run.fault_ends("db2 is not cut off any more");
    let caught_up = catch_up(&run.cluster)?;
    run.note("db2 has caught up");
    run.measured("cut", report)?;
    run.measured("end_of_log_at_the_cuts_end", behind)?;
    run.measured("catching_up", caught_up)?;
    run.recover()
}

/// Where the primary's log ends, in bytes.
fn position(cluster: &Cluster) -> Result<u64> {
    let position = "select (pg_current_wal_lsn() - '0/0')::bigint";
    let position = cluster.sql("db1")?.value(position)?;
    Ok(position.context("the primary has no log")?.parse()?)
}

/// What the standby lacked when it returned, and how long it took to catch up.
#[derive(Debug, Serialize, Deserialize)]
struct CatchUp {
    returned_after_ms: f64,
    lacked_bytes: u64,
    caught_up_after_ms: f64,
    took_ms: f64,
    /// `null` where it took no time that could be measured.
    bytes_per_s: Option<f64>,
}

/// Asks the primary for the standby until nothing is missing, and returns what was
/// seen: what it lacked at first, and how long that took from its return.
fn catch_up(cluster: &Cluster) -> Result<CatchUp> {
    let begun = Instant::now();
    let mut sql = cluster.sql("db1")?;
    let query = "select (pg_current_wal_lsn() - flush_lsn)::bigint \
                from pg_stat_replication where flush_lsn is not null and state <> 'backup'";
    let mut first: Option<(Duration, u64)> = None;
    wait::until(CATCHING_UP, "db2 to catch up", || {
        let asked = begun.elapsed();
        let Some(lacking) = sql.value(query)? else {
            return Ok(None);
        };
        let lacking: u64 = lacking.parse()?;
        let Some((returned, bytes)) = first else {
            first = Some((asked, lacking));
            return Ok(None);
        };
        // As close as a load that goes on lets it come.
        let caught_up = lacking < 1 << 20;
        let took = asked.saturating_sub(returned);
        Ok(caught_up.then(|| CatchUp {
            returned_after_ms: milliseconds(returned),
            lacked_bytes: bytes,
            caught_up_after_ms: milliseconds(asked),
            took_ms: milliseconds(took),
            bytes_per_s: (took > MEASURABLE).then(|| bytes as f64 / took.as_secs_f64()),
        }))
    })
}

fn verify(outcome: &mut Outcome, checks: &mut Checks) -> Result<()> {
    let (db1, db2) = (outcome.report("db1"), outcome.report("db2"));
    let fault = outcome.phase("fault");
    let gap = outcome.gap(outcome.writes());
    checks.that(
        "commits waited for the standby that was gone",
        gap.is_some_and(|gap| gap.length > Duration::from_secs(5)),
        seconds(gap.map(|gap| gap.length)),
    );
    let released = gap.map(|gap| gap.start + gap.length);
    checks.that(
        "and no longer once Patroni had struck it off, while it was still cut off",
        released.is_some_and(|at| fault.contains(at)),
        seconds(outcome.since_fault(released)),
    );
    let reads = outcome.figures(outcome.reads(), "fault");
    checks.that(
        "no read failed",
        reads.failed == 0,
        format!("{} of {}", reads.failed, reads.requests),
    );
    checks.that(
        "the primary stayed the primary",
        outcome.reigns("db1").len() == 1 && outcome.reigns("db2").is_empty(),
        "",
    );
    let copied = outcome
        .roles
        .iter()
        .filter_map(|change| change.state.member.as_ref())
        .any(|member| member.state.contains("replica"));
    checks.that("db2 did not have to be copied anew", !copied, "");
    checks.that(
        "of what made commits slow, tracer on db1 blames the cut before all else",
        blames_a_cut(db1),
        cause_names(db1),
    );
    let caught_up: CatchUp = outcome.noted("catching_up")?;
    let lacked = mebibytes(caught_up.lacked_bytes as f64);
    checks.that(
        "it lacked log when it returned, and caught up",
        caught_up.lacked_bytes > 0,
        format!(
            "{lacked}, caught up after {}",
            format::milliseconds(caught_up.took_ms)
        ),
    );

    let kept = slots(db1);
    let most = kept.iter().filter_map(|(_, bytes)| *bytes).max();
    let dropped = kept
        .iter()
        .find(|(at, bytes)| fault.contains(*at) && bytes.is_none())
        .map(|(at, _)| *at);
    let words = vec![
        format!(
            "writes stood still for {}: until Patroni had noticed that db2 was gone and no longer made commits wait for it",
            seconds(gap.map(|gap| gap.length))
        ),
        match (most, dropped) {
            (Some(most), Some(at)) => format!(
                "the primary kept up to {} for db2's slot; the slot itself was dropped {} after the cut: what db2 came back to was what the log had not been recycled of",
                mebibytes(most as f64),
                seconds(outcome.since_fault(Some(at)))
            ),
            (Some(most), None) => format!(
                "the primary kept up to {} of log for db2's slot",
                mebibytes(most as f64)
            ),
            _ => "no slot was seen".to_owned(),
        },
        format!(
            "db2 was back {:.1} s after the cut's end, lacked {lacked}, and caught up in {:.1} s{}",
            caught_up.returned_after_ms / 1000.0,
            caught_up.took_ms / 1000.0,
            caught_up.bytes_per_s.map_or(String::new(), |rate| format!(
                ", {} a second",
                mebibytes(rate)
            )),
        ),
        format!(
            "retransmitted: db1's replication {}, db2's {}; connections' first segments from db2 {}",
            retransmitted(db1, FlowKind::Walsender),
            retransmitted(db2, FlowKind::Walreceiver),
            db2.totals.by_kind.syn,
        ),
    ];
    let value = json!({"slot_retained_bytes_max": most, "dropped_after_ms": outcome.since_fault(dropped).map(milliseconds)});
    outcome.tell("slot", value, words);
    Ok(())
}

/// What the primary kept for the standby's slot, by time; `None` where it had none.
fn slots(report: &Report) -> Vec<(SystemTime, Option<i64>)> {
    let postgres = report.postgres.iter();
    postgres
        .flat_map(|postgres| &postgres.series)
        .filter_map(|entry| {
            let slot = entry.sample.slots.iter().find(|slot| slot.name == "db2");
            Some((
                time(&entry.time)?,
                slot.map(|slot| slot.retained_bytes.unwrap_or_default()),
            ))
        })
        .collect()
}
