//! Databases are cut off from everybody, and asked to write all the same.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Setup, Variant};
use crate::lab::cluster::{Cluster, DATABASES};
use crate::lab::context::RunContext;
use crate::lab::format;
use crate::lab::outcome::{Outcome, seconds};
use crate::lab::verify::Checks;
use crate::lab::watch;
use crate::testbed::injection::Injection;
use crate::testbed::load::phase::{Phase, rfc3339};
use crate::testbed::load::{Load, NUMBER, Plan, Request};
use crate::testbed::postgres::{PORT, Row};

/// For the last of the writes on a node itself.
const GRACE: Duration = Duration::from_secs(30);

pub(super) const VARIANTS: [Variant; 2] = [
    Variant {
        experiment: "split-brain",
        name: "primary",
        question: "The primary is cut off from everybody, while clients on both nodes go on \
                   writing: do two databases take writes at the same time?",
        seconds: (15, 75, 15),
        setup: Setup::USUAL,
        act: |run| act(run, &DATABASES[..1]),
        verify: verify_primary,
    },
    Variant {
        experiment: "split-brain",
        name: "both",
        question: "Both databases are cut off from everybody at the same time, while clients on \
                   both nodes go on writing: does any of them take writes?",
        seconds: (15, 75, 15),
        setup: Setup::USUAL,
        act: |run| act(run, &DATABASES),
        verify: verify_both,
    },
];

fn act(run: &mut RunContext, cut_off: &[&'static str]) -> Result<()> {
    let writers = DATABASES
        .iter()
        .map(|node| writer(&run.cluster, node))
        .collect::<Result<Vec<_>>>()?;
    run.baseline("normal operation; on each node, somebody writes to its own database, too")?;
    // Before the first cut: what a cut brings about lies in the fault.
    run.fault_begins(format!(
        "to be cut off from everybody: {}",
        cut_off.join(" and ")
    ));
    let mut faults = Vec::new();
    for node in cut_off {
        faults.push((*node, run.cut_off(node)?));
    }
    run.note("they are cut off");
    run.hold()?;
    run.fault_ends("nobody is cut off any more");
    let mut cuts = Vec::new();
    for (node, fault) in faults {
        cuts.push(Cut {
            node: node.to_owned(),
            report: fault.finish()?,
        });
    }
    run.recover()?;
    let mut sides = Vec::new();
    for (node, load) in DATABASES.iter().zip(writers) {
        sides.push(side(&run.cluster, node, &load.stop(GRACE))?);
    }
    run.measured("sides", sides)?;
    run.measured("cuts", cuts)
}

#[derive(Debug, Serialize, Deserialize)]
struct Cut {
    node: String,
    report: Injection,
}

/// What became of the writes on one node. Sums and the interesting moments, not every
/// request.
#[derive(Debug, Serialize, Deserialize)]
struct Side {
    node: String,
    asked: usize,
    acknowledged: usize,
    found_in_the_end: usize,
    /// One by one: as many may have been kept that were not acknowledged.
    acknowledged_and_lost: Vec<u32>,
    /// In which each second counts, for the stretches in which it took writes.
    acknowledged_at: Vec<Timestamp>,
}

/// Somebody on the node who writes to its database, whoever else can reach it.
fn writer(cluster: &Cluster, node: &str) -> Result<Load> {
    let host = cluster.host(node)?;
    let sql = format!("insert into lab (note) values ('{}{NUMBER}')", mark(node));
    Load::start(
        &host.netns,
        (host.v4, PORT).into(),
        Plan::open(&sql, 5.0, 2),
    )
}

/// What stands before the number of each write on a node.
fn mark(node: &str) -> String {
    format!("on {node}: ")
}

/// What became of them.
fn side(cluster: &Cluster, node: &str, requests: &[Request]) -> Result<Side> {
    let primary = cluster.primary()?;
    let mark = mark(node);
    let notes = format!("select note from lab where starts_with(note, '{mark}')");
    let found = numbers(&cluster.sql(primary)?.query(&notes)?, &mark)?;
    let acknowledged: Vec<&Request> = requests
        .iter()
        .filter(|request| request.error.is_none())
        .collect();
    let answers: Vec<SystemTime> = acknowledged
        .iter()
        .map(|request| request.due + request.latency)
        .collect();
    Ok(Side {
        node: node.to_owned(),
        asked: requests.len(),
        acknowledged: answers.len(),
        found_in_the_end: found.len(),
        acknowledged_and_lost: lost(&acknowledged, &found),
        acknowledged_at: seconds_of(&answers),
    })
}

fn numbers(rows: &[Row], mark: &str) -> Result<BTreeSet<u32>> {
    rows.iter()
        .filter_map(|row| row.first()?.as_deref())
        .map(|note| {
            let number = note.strip_prefix(mark).and_then(|it| it.parse().ok());
            number.with_context(|| format!("`{note}` is none of the writes"))
        })
        .collect()
}

/// The numbers of the requests that are not among those found.
fn lost(acknowledged: &[&Request], found: &BTreeSet<u32>) -> Vec<u32> {
    acknowledged
        .iter()
        .map(|request| request.number)
        .filter(|number| !found.contains(number))
        .collect()
}

/// The seconds in which there were answers.
fn seconds_of(answers: &[SystemTime]) -> Vec<Timestamp> {
    let second = |at: &SystemTime| {
        let at = Timestamp::try_from(*at).ok()?;
        Timestamp::from_second(at.as_second()).ok()
    };
    let mut seconds: Vec<Timestamp> = answers.iter().filter_map(second).collect();
    seconds.sort_unstable();
    seconds.dedup();
    seconds
}

fn verify_primary(outcome: &mut Outcome, checks: &mut Checks) -> Result<()> {
    verify(outcome, checks)?;
    let promoted = outcome.promoted();
    let promotion = outcome.since_fault(promoted);
    checks.that(
        "db2 was promoted while db1 was cut off",
        promoted.is_some_and(|at| at < outcome.phase("fault").end),
        seconds(promotion),
    );
    let demotion = outcome.since_fault(end_of_reign(outcome, "db1"));
    checks.less(
        "db1 had given up before that",
        demotion,
        promotion,
        format::time,
    );
    let words = vec![format!(
        "db1 gave up {} after it was cut off, db2 was promoted after {}",
        seconds(demotion),
        seconds(promotion)
    )];
    outcome.tell(
        "promotion_s",
        json!(promotion.map(|it| it.as_secs_f64())),
        words,
    );
    Ok(())
}

fn verify_both(outcome: &mut Outcome, checks: &mut Checks) -> Result<()> {
    verify(outcome, checks)?;
    let fault = outcome.phase("fault");
    let demotion = end_of_reign(outcome, "db1");
    checks.that(
        "db1 gave up while it was cut off",
        demotion.is_some_and(|at| at < fault.end),
        seconds(outcome.since_fault(demotion)),
    );
    let promoted = outcome.promoted();
    checks.that(
        "db2 was not promoted while it was cut off",
        promoted.is_none_or(|at| at > fault.end),
        seconds(outcome.since_fault(promoted)),
    );
    let again = watch::next_reign(&outcome.roles, fault.start);
    checks.that(
        "nobody took writes again before the end of the cut",
        again.is_none_or(|at| at >= fault.end),
        seconds(outcome.since_fault(again)),
    );
    let words = vec![format!(
        "db1 gave up {} after both were cut off; {}",
        seconds(outcome.since_fault(demotion)),
        taken_again(again, &fault),
    )];
    outcome.tell("demoted", json!(demotion.and_then(rfc3339)), words);
    Ok(())
}

fn taken_again(again: Option<SystemTime>, cut: &Phase) -> String {
    let Some(at) = again else {
        return "nobody was seen to take writes again".to_owned();
    };
    match at.duration_since(cut.end) {
        Ok(after) => format!(
            "nobody took writes until {} after the end of the cut",
            seconds(Some(after))
        ),
        Err(before) => format!(
            "somebody took writes again {} before the end of the cut",
            seconds(Some(before.duration()))
        ),
    }
}

/// When a node first stopped to take writes after the fault began.
fn end_of_reign(outcome: &Outcome, node: &str) -> Option<SystemTime> {
    let reigns = outcome.reigns(node).into_iter();
    reigns
        .filter_map(|(_, to)| to)
        .find(|to| *to >= outcome.started())
}

fn verify(outcome: &mut Outcome, checks: &mut Checks) -> Result<()> {
    let both = outcome.two_primaries();
    checks.that(
        "never did both databases take writes at the same time",
        both.is_zero(),
        seconds(Some(both)),
    );
    let sides: Vec<Side> = outcome.noted("sides")?;
    let mut words = Vec::new();
    for side in &sides {
        let (node, acknowledged) = (&side.node, side.acknowledged);
        let kept = side.found_in_the_end;
        let lost = &side.acknowledged_and_lost;
        checks.that(
            &format!("every write that {node} acknowledged to its own is there in the end"),
            lost.is_empty(),
            match lost.as_slice() {
                [] => format!("{acknowledged} acknowledged, all of them among {kept} found"),
                lost => format!("{} of {acknowledged} lost: {lost:?}", lost.len()),
            },
        );
        words.push(format!(
            "{node} was asked for {} writes by its own, acknowledged {acknowledged}, and {kept} are there in the end",
            side.asked
        ));
    }
    // A second that both have may be the one in which they took turns, before the cut.
    let cut: Vec<_> = sides
        .iter()
        .map(|side| acknowledged_in_fault(outcome, side))
        .collect();
    if let [one, other] = &cut[..] {
        let shared = one.iter().filter(|second| other.contains(second)).count();
        checks.that(
            "in no second of the cut did both acknowledge a write",
            shared == 0,
            format!("db1 in {} seconds, db2 in {}", one.len(), other.len()),
        );
    }
    let cuts: Vec<Cut> = outcome.noted("cuts")?;
    for Cut { node, report } in &cuts {
        let fault = report.faults.first().map(|made| &made.fault);
        let hit = fault.and_then(|fault| fault.hit).unwrap_or_default();
        checks.that(
            &format!("the cut of {node} hit packets, and was removed"),
            hit > 0 && fault.is_some_and(|fault| fault.removed),
            format!("{hit} packets"),
        );
    }
    outcome.words.extend(words);
    Ok(())
}

fn acknowledged_in_fault(outcome: &Outcome, side: &Side) -> Vec<Timestamp> {
    let fault = outcome.phase("fault");
    let seconds = side.acknowledged_at.iter().copied();
    seconds
        .filter(|second| fault.contains((*second).into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_writes_were_taken_again_is_in_words() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let cut = Phase {
            name: "fault",
            start: at(10),
            end: at(20),
        };
        for (again, words) in [
            (None, "nobody was seen"),
            (Some(at(23)), "until 3.0 s after the end"),
            (
                Some(at(16)),
                "somebody took writes again 4.0 s before the end",
            ),
        ] {
            let said = taken_again(again, &cut);
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn what_was_acknowledged_is_compared_one_by_one() {
        let request = |number| Request {
            number,
            due: SystemTime::UNIX_EPOCH,
            late: Duration::ZERO,
            latency: Duration::ZERO,
            error: None,
        };
        let (one, two) = (request(1), request(2));
        let row = |note: &str| vec![Some(note.to_owned())];
        // As many as were acknowledged, and not the same.
        let rows = [row("on db1: 1"), row("on db1: 3")];
        let found = numbers(&rows, &mark("db1")).unwrap();
        assert_eq!(lost(&[&one, &two], &found), [2]);
        assert_eq!(lost(&[&one], &found), [] as [u32; 0]);
        assert!(numbers(&rows, &mark("db2")).is_err());
    }
}
