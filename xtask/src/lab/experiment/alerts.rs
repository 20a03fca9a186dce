//! The alert rules, with a real Prometheus that scrapes tracer: do they fire, and how
//! soon; and how soon do they stop?

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Setup, Variant};
use crate::lab::cluster::{CLIENT, Cluster};
use crate::lab::context::RunContext;
use crate::lab::daemon;
use crate::lab::outcome::{Outcome, blames_a_cut, cause_names, seconds};
use crate::lab::verify::Checks;
use crate::provision::packages::{self, PROMETHEUS_USER};
use crate::provision::{http, repo};
use crate::testbed::command::Running;
use crate::testbed::injection::Injection;
use crate::testbed::scratch_dir::ScratchDir;
use crate::testbed::{file, interrupt, wait};

/// Where tracer shows db1, and where Prometheus shows its alerts: on the client's host.
const SHOWN: &str = "10.0.10.2:9187";
const PROMETHEUS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9090);

const STARTING: Duration = Duration::from_secs(30);

/// The pace of polls of the alerts: how exactly it is known when one was raised.
/// Prometheus evaluates the rules once a second.
const POLL: Duration = Duration::from_millis(200);

/// Until the last alert has to be over.
const RESOLVED: Duration = Duration::from_secs(180);

/// What has to fire: commits that do not end.
const ALERT: &str = "TracerCommitStalled";

pub(super) const VARIANTS: [Variant; 1] = [Variant {
    experiment: "alerts",
    name: "stalled-commits",
    question: "The standby is cut off and commits do not end: how soon does Prometheus raise \
               the alert, and how soon is it over after the end of the cut?",
    seconds: (20, 27, 15),
    setup: Setup {
        watch: &["--commit-probe", "5", "--listen", SHOWN],
        ..Setup::USUAL
    },
    act,
    verify,
}];

fn act(run: &mut RunContext) -> Result<()> {
    let scratch = ScratchDir::new("prometheus")?;
    let mut prometheus = start(&run.cluster, &scratch, run.script.folder)?;
    prometheus.until(STARTING, "Prometheus to see tracer", || {
        let up = ask(&run.cluster, "/api/v1/query?query=up")?;
        let seen = list(&up, "/data/result")
            .iter()
            .any(|one| text(one, "/value/1") == "1");
        Ok(seen.then_some(()))
    })?;
    prometheus.until(STARTING, "Prometheus to have the rules", || {
        let rules = ask(&run.cluster, "/api/v1/rules")?;
        Ok(has_rule(&rules, ALERT).then_some(()))
    })?;
    run.note("normal operation; Prometheus scrapes tracer once a second");
    let mut alerts = Alerts::default();
    let answers = alerts.watch(&run.cluster, run.begun + run.script.lengths.baseline)?;
    ensure!(answers > 0, "Prometheus said nothing of alerts");
    ensure!(
        alerts.0.is_empty(),
        "alerts without a fault: {:?}",
        alerts.0.keys()
    );
    let cut = run.cut_off("db2")?;
    run.fault_begins("db2 is cut off from everybody");
    alerts.watch(&run.cluster, Instant::now() + run.script.lengths.fault)?;
    let report: Injection = cut.finish()?;
    run.fault_ends("db2 is not cut off any more");
    wait::until(RESOLVED, "the alerts to be over", || {
        alerts.poll(&run.cluster)?;
        Ok(alerts.over().then_some(()))
    })?;
    run.note("no alert is raised any more");
    run.measured("alerts", alerts.written())?;
    run.measured("cut", report)?;
    run.recover()
}

/// Prometheus on the client's host, with the rules of this repository.
fn start(cluster: &Cluster, scratch: &ScratchDir, logs: &Path) -> Result<Running> {
    let data = scratch.folder("data", PROMETHEUS_USER)?;
    let rules = scratch.path().join("alerts.yml");
    file::copy(&repo::root().join("deploy/alerts.yml"), &rules)?;
    let file = scratch.path().join("prometheus.yml");
    let text = format!(
        "global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files:
  - {}
scrape_configs:
  - job_name: tracer
    static_configs:
      - targets: ['{SHOWN}']
",
        rules.display()
    );
    file::write(&file, text)?;
    let client = &cluster.host(CLIENT)?.netns;
    let mut prometheus = client.command_as(PROMETHEUS_USER, packages::program("prometheus")?);
    prometheus
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg(format!("--web.listen-address={PROMETHEUS}"))
        .arg("--log.level=warn");
    daemon::start("prometheus", &prometheus, logs)
}

/// What Prometheus says; nothing while it does not.
fn ask(cluster: &Cluster, path: &str) -> Result<Value> {
    interrupt::check()?;
    let answer = cluster
        .host(CLIENT)?
        .netns
        .enter(|| http::get(PROMETHEUS, path, http::ANSWER));
    // Nobody there yet, or one who is still starting.
    let Some(answer) = answer.ok().filter(|answer| answer.status == 200) else {
        return Ok(Value::Null);
    };
    serde_json::from_str(&answer.body).with_context(|| format!("Prometheus: {}", answer.body))
}

fn has_rule(rules: &Value, name: &str) -> bool {
    list(rules, "/data/groups")
        .iter()
        .flat_map(|group| list(group, "/rules"))
        .any(|rule| text(rule, "/name") == name)
}

/// Of each alert, when it was first raised, and when it was over for good.
#[derive(Debug, Default)]
struct Alerts(BTreeMap<String, (SystemTime, Option<SystemTime>)>);

impl Alerts {
    /// Polls until the moment, to which the experiment lasts whatever is raised, and
    /// returns how many answers there were.
    fn watch(&mut self, cluster: &Cluster, until: Instant) -> Result<u32> {
        let mut answers = 0;
        while Instant::now() < until {
            answers += u32::from(self.poll(cluster)?);
            sleep(POLL);
        }
        Ok(answers)
    }

    /// Returns whether there was an answer.
    fn poll(&mut self, cluster: &Cluster) -> Result<bool> {
        let answer = ask(cluster, "/api/v1/alerts")?;
        let answered = text(&answer, "/status") == "success";
        if answered {
            self.note(&answer, SystemTime::now());
        }
        Ok(answered)
    }

    fn note(&mut self, answer: &Value, now: SystemTime) {
        let firing: Vec<&str> = list(answer, "/data/alerts")
            .iter()
            .filter(|alert| text(alert, "/state") == "firing")
            .map(|alert| text(alert, "/labels/alertname"))
            .collect();
        for name in &firing {
            self.0.entry((*name).to_owned()).or_insert((now, None)).1 = None;
        }
        for (name, (_, over)) in &mut self.0 {
            if !firing.contains(&name.as_str()) && over.is_none() {
                *over = Some(now);
            }
        }
    }

    fn over(&self) -> bool {
        self.0.values().all(|(_, over)| over.is_some())
    }

    fn written(&self) -> Vec<Alert> {
        let time = |moment| Timestamp::try_from(moment).ok();
        let each = self.0.iter();
        each.map(|(name, (raised, over))| Alert {
            alert: name.clone(),
            raised: time(*raised),
            over: over.and_then(time),
        })
        .collect()
    }
}

/// An alert, as it is written: when it was raised, and when that was over.
#[derive(Debug, Serialize, Deserialize)]
struct Alert {
    alert: String,
    raised: Option<Timestamp>,
    over: Option<Timestamp>,
}

/// A list in what Prometheus says; empty if there is none.
fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

/// A word in it; empty if there is none.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}

fn verify(outcome: &mut Outcome, checks: &mut Checks) -> Result<()> {
    let alerts: Vec<Alert> = outcome.noted("alerts")?;
    let fault = outcome.phase("fault");
    let time = |moment: Option<Timestamp>| moment.map(SystemTime::from);
    let mut words = Vec::new();
    for alert in &alerts {
        let over = time(alert.over).and_then(|at| at.duration_since(fault.end).ok());
        words.push(format!(
            "`{}` was raised {} after the beginning of the cut, and over {} after its end",
            alert.alert,
            seconds(outcome.since_fault(time(alert.raised))),
            seconds(over),
        ));
    }
    let stalled = alerts.iter().find(|alert| alert.alert == ALERT);
    let raised = time(stalled.and_then(|alert| alert.raised));
    checks.that(
        &format!("`{ALERT}` was raised while db2 was cut off"),
        raised.is_some_and(|at| fault.contains(at)),
        seconds(outcome.since_fault(raised)),
    );
    let over = time(stalled.and_then(|alert| alert.over));
    checks.that(
        "and was over after that",
        over.is_some_and(|at| at > fault.end),
        seconds(outcome.since_fault(over)),
    );
    checks.that(
        "tracer on db1 blames the cut before all else",
        blames_a_cut(outcome.report("db1")),
        cause_names(outcome.report("db1")),
    );
    outcome.words.extend(words);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_are_loaded_when_they_are_named() {
        let rules = json!({"data": {"groups": [{"rules": [{"name": ALERT}]}]}});
        assert!(has_rule(&rules, ALERT));
        assert!(!has_rule(&rules, "Other"));
        assert!(!has_rule(&Value::Null, ALERT));
    }

    #[test]
    fn an_alert_lasts_from_its_first_to_its_last_poll() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let state = |state: &str| json!({"data": {"alerts": [{"labels": {"alertname": "A"}, "state": state}]}});
        let mut alerts = Alerts::default();
        alerts.note(&state("pending"), at(1));
        assert!(alerts.0.is_empty() && alerts.over());
        alerts.note(&state("firing"), at(2));
        assert!(!alerts.over());
        alerts.note(&state("pending"), at(5));
        alerts.note(&state("firing"), at(6));
        alerts.note(&json!({"data": {"alerts": []}}), at(9));
        assert_eq!(alerts.0["A"], (at(2), Some(at(9))));
    }
}
