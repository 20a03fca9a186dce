//! Databases are cut off from everybody, and asked to write all the same.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Variant;
use crate::lab::check::Checks;
use crate::lab::clients::{Profile, plan};
use crate::lab::cluster::{Cluster, DATABASES};
use crate::lab::outcome::{Outcome, number, seconds, text};
use crate::lab::stage::Stage;
use crate::lab::tracer::EVERYBODY;
use crate::lab::watch;
use crate::load::phase::rfc3339;
use crate::load::{Load, Pace, Request};
use crate::postgres::PORT;

/// For the last of the writes on a node itself.
const GRACE: Duration = Duration::from_secs(30);

pub(super) const VARIANTS: [Variant; 2] = [
    Variant {
        experiment: "split-brain",
        name: "primary",
        question: "The primary is cut off from everybody, while clients on both nodes go on \
                   writing: do two databases take writes at the same time?",
        seconds: (15, 75, 15),
        profile: Profile::steady,
        inject: None,
        watch: &[],
        own_disk: false,
        act: act_primary,
        judge: judge_primary,
    },
    Variant {
        experiment: "split-brain",
        name: "both",
        question: "Both databases are cut off from everybody at the same time, while clients on \
                   both nodes go on writing: does any of them take writes?",
        seconds: (15, 75, 15),
        profile: Profile::steady,
        inject: None,
        watch: &[],
        own_disk: false,
        act: act_both,
        judge: judge_both,
    },
];

fn act_primary(stage: &mut Stage) -> Result<()> {
    act(stage, &DATABASES[..1])
}

fn act_both(stage: &mut Stage) -> Result<()> {
    act(stage, &DATABASES)
}

fn act(stage: &mut Stage, cut_off: &[&'static str]) -> Result<()> {
    stage.note("normal operation; on each node, somebody writes to its own database, too");
    let writers = DATABASES
        .iter()
        .map(|node| writer(&stage.cluster, node))
        .collect::<Result<Vec<_>>>()?;
    stage.baseline()?;
    let mut faults = Vec::new();
    for node in cut_off {
        faults.push((*node, stage.inject(node, "partition", EVERYBODY)?));
    }
    stage.fault_begins(format!("cut off from everybody: {}", cut_off.join(" and ")));
    stage.hold()?;
    stage.fault_ends("nobody is cut off any more");
    let mut cuts = Vec::new();
    for (node, fault) in faults {
        let report = fault.finish()?;
        cuts.push(json!({"node": node, "report": report}));
    }
    stage.recover()?;
    let mut sides = Vec::new();
    for (node, load) in DATABASES.iter().zip(writers) {
        sides.push(side(&stage.cluster, node, &load.stop(GRACE))?);
    }
    stage.extra.insert("sides".to_owned(), json!(sides));
    stage.extra.insert("cuts".to_owned(), json!(cuts));
    Ok(())
}

/// Somebody on the node who writes to its database, whoever else can reach it.
fn writer(cluster: &Cluster, node: &str) -> Result<Load> {
    let host = cluster.host(node)?;
    let sql = format!("insert into lab (note) values ('{}')", mark(node));
    let plan = plan(&sql, Pace::Open { rate: 5.0 }, 2);
    Load::start(&host.netns, (host.v4, PORT).into(), plan)
}

fn mark(node: &str) -> String {
    format!("on {node}")
}

/// What became of the writes on one node. Sums and the interesting moments, not every
/// request.
fn side(cluster: &Cluster, node: &str, requests: &[Request]) -> Result<Value> {
    let count = format!("select count(*) from lab where note = '{}'", mark(node));
    let primary = cluster.primary()?;
    let kept = cluster.sql(primary)?.value(&count)?.context("no count")?;
    let answers: Vec<SystemTime> = requests
        .iter()
        .filter(|request| request.error.is_none())
        .map(|request| request.due + request.latency)
        .collect();
    Ok(json!({
        "node": node,
        "asked": requests.len(),
        "acknowledged": answers.len(),
        "found_in_the_end": kept.parse::<u64>()?,
        // In which each second counts, for the stretches in which it took writes.
        "acknowledged_at": seconds_of(&answers),
    }))
}

/// The seconds in which there were answers.
fn seconds_of(answers: &[SystemTime]) -> Vec<Option<String>> {
    let mut seconds: Vec<u64> = answers
        .iter()
        .filter_map(|at| Some(at.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs()))
        .collect();
    seconds.sort_unstable();
    seconds.dedup();
    let time = |second: u64| rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
    seconds.into_iter().map(time).collect()
}

fn judge_primary(outcome: &mut Outcome, checks: &mut Checks, _: &Path) -> Result<()> {
    judge(outcome, checks);
    let promoted = watch::promoted(&outcome.roles, "db2", outcome.started());
    let promotion = outcome.since_fault(promoted);
    checks.that(
        "db2 was promoted while db1 was cut off",
        promoted.is_some_and(|at| at < outcome.phase("fault").end),
        seconds(promotion),
    );
    let demotion = outcome.since_fault(end_of_reign(outcome, "db1"));
    checks.less("db1 had given up before that", demotion, promotion);
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

fn judge_both(outcome: &mut Outcome, checks: &mut Checks, _: &Path) -> Result<()> {
    judge(outcome, checks);
    let fault = outcome.phase("fault");
    let demotion = end_of_reign(outcome, "db1");
    checks.that(
        "db1 gave up while it was cut off",
        demotion.is_some_and(|at| at < fault.end),
        seconds(outcome.since_fault(demotion)),
    );
    let promoted = watch::promoted(&outcome.roles, "db2", fault.start);
    checks.that(
        "db2 was not promoted while it was cut off",
        promoted.is_none_or(|at| at > fault.end),
        seconds(outcome.since_fault(promoted)),
    );
    let words = vec![format!(
        "db1 gave up {} after both were cut off; nobody took writes until they could reach etcd again",
        seconds(outcome.since_fault(demotion)),
    )];
    outcome.tell("demoted", json!(demotion.and_then(rfc3339)), words);
    Ok(())
}

/// When a node first stopped to take writes after the fault began.
fn end_of_reign(outcome: &Outcome, node: &str) -> Option<SystemTime> {
    watch::reigns(&outcome.roles, node)
        .into_iter()
        .filter_map(|(_, to)| to)
        .find(|to| *to >= outcome.started())
}

fn judge(outcome: &mut Outcome, checks: &mut Checks) {
    let both = watch::two_primaries(&outcome.roles, outcome.phase("recovery").end);
    checks.that(
        "never did both databases take writes at the same time",
        both.is_zero(),
        seconds(Some(both)),
    );
    let sides = outcome.extra.get("sides").cloned().unwrap_or_default();
    let sides = sides.as_array().cloned().unwrap_or_default();
    let mut words = Vec::new();
    for side in &sides {
        let (node, acknowledged) = (text(side, "/node"), number(side, "/acknowledged"));
        let kept = number(side, "/found_in_the_end");
        checks.that(
            &format!("every write that {node} acknowledged to its own is there in the end"),
            kept >= acknowledged,
            format!("{acknowledged} acknowledged, {kept} found"),
        );
        words.push(format!(
            "{node} was asked for {} writes by its own, acknowledged {acknowledged}, and {kept} are there in the end",
            number(side, "/asked")
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
    for cut in outcome
        .extra
        .get("cuts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        checks.that(
            &format!(
                "the cut of {} hit packets, and was removed",
                text(cut, "/node")
            ),
            number(cut, "/report/faults/0/hit") > 0
                && cut.pointer("/report/faults/0/removed") == Some(&Value::Bool(true)),
            format!("{} packets", number(cut, "/report/faults/0/hit")),
        );
    }
    outcome.words.extend(words);
}

fn acknowledged_in_fault(outcome: &Outcome, side: &Value) -> Vec<String> {
    let fault = outcome.phase("fault");
    let seconds = side.get("acknowledged_at").and_then(Value::as_array);
    seconds
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|second| {
            let at: Option<jiff::Timestamp> = second.parse().ok();
            at.is_some_and(|at| fault.contains(at.into()))
        })
        .map(str::to_owned)
        .collect()
}
