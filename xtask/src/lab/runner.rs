//! A run of an experiment: cluster, clients, tracer on both databases' hosts; then
//! what is done to it; then everything away, and all that was seen.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use tracer_core::report::Report;

use super::clients::{Clients, Profile};
use super::cluster::{Cluster, DATABASES};
use super::context::{Lengths, RunContext};
use super::outcome::{Outcome, time};
use super::timing::Timing;
use super::tracer::{self, EVERYBODY, Tracer};
use super::watch::Watch;
use crate::testbed::load::phase::Phases;
use crate::testbed::netns::{self, Host};
use crate::testbed::resource_name;

/// Part of the names of all that belongs to a run.
const TAG: &str = "run";

/// A fault that `tracer run` itself makes on the second database's host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inject {
    pub(super) fault: &'static str,
    pub(super) peer: &'static str,
}

/// What is to be run.
pub(super) struct Script<'a> {
    pub(super) lengths: Lengths,
    pub(super) profile: Profile,
    pub(super) inject: Option<Inject>,
    /// What tracer on the first database's host is told beside the usual.
    pub(super) watch: &'a [&'a str],
    pub(super) timing: &'a Timing,
    /// Whether the first database has a disk that can be stalled.
    pub(super) own_disk: bool,
    /// Where this run's files go.
    pub(super) folder: &'a Path,
    /// The program under test.
    pub(super) program: &'a Path,
    /// What is done, from the baseline to the recovery.
    pub(super) act: fn(&mut RunContext) -> Result<()>,
}

/// Runs it.
pub(super) fn run(script: &Script) -> Result<Outcome> {
    let begun = Instant::now();
    let cluster = Cluster::start(TAG, script.timing, script.own_disk, script.folder)?;
    let up = begun.elapsed();
    let outcome = observe(script, cluster, up)?;
    nothing_left(script.program)?;
    Ok(outcome)
}

fn observe(script: &Script, cluster: Cluster, up: Duration) -> Result<Outcome> {
    let [first, second] = DATABASES;
    ensure!(cluster.primary()? == first, "the primary is not {first}");
    cluster.prove_commits_wait()?;
    println!(
        "lab        up after {:.1} s; a commit was seen to wait for the standby",
        up.as_secs_f64()
    );
    let before = Interfaces::of(&cluster)?;
    let watch = Watch::start(&cluster)?;
    let since = SystemTime::now();
    let clients = Clients::start(&cluster, script.profile.clone())?;
    let checksum_errors = checksum_errors(&cluster)?;

    let Lengths {
        baseline, fault, ..
    } = script.lengths;
    let watched = |database, more: &[String]| {
        Tracer::watch(script.program, &cluster, database, more, script.folder)
    };
    let (one, two) = (
        watched(first, &{
            let mut more = phases(EVERYBODY, baseline, fault);
            more.extend(script.watch.iter().map(|&word| word.to_owned()));
            more
        })?,
        watched(
            second,
            &match script.inject {
                None => phases(EVERYBODY, baseline, fault),
                Some(inject) => injecting(inject, baseline, fault, script.folder),
            },
        )?,
    );
    let mut cluster = cluster;
    for watcher in [&one, &two] {
        cluster.spare(watcher.pid());
    }
    let mut run = RunContext::new(cluster, script.lengths, script.folder, script.program);
    let commands = vec![one.line.clone(), two.line.clone()];
    if let Err(error) = (script.act)(&mut run) {
        // Before the hosts go, and all that is on them: a fault is undone by its tracer.
        drop((one, two));
        return Err(error);
    }

    let cluster = &mut run.cluster;
    cluster.check()?;
    let reports = [one.finish()?, two.finish()?];
    let until = SystemTime::now();
    let records = clients.stop();
    let errors_after = self::checksum_errors(cluster)?;
    let roles = watch.stop();
    cluster.wait_healthy()?;
    cluster
        .prove_commits_wait()
        .context("after the run, commits no longer wait for the standby")?;
    let after = Interfaces::of(cluster)?;
    ensure!(
        before == after,
        "the interfaces are not what they were: {before:?}, then {after:?}"
    );
    let [_, report] = &reports;
    let (started, ended) = match script.inject {
        Some(_) => injected(report).context("tracer does not say when its fault was")?,
        None => run.fault().context("no fault was made")?,
    };
    let [one, two] = errors_after;
    let [one_before, two_before] = checksum_errors;
    Ok(Outcome {
        phases: Phases::around(since, started, ended, until),
        records,
        roles,
        notes: run.notes,
        reports,
        checksum_errors: [one - one_before, two - two_before],
        extra: run.extra,
        words: Vec::new(),
        commands,
        timing: script.timing.clone(),
        up,
    })
}

/// What tracer is told of the time of a fault that somebody else makes.
fn phases(peer: &str, baseline: Duration, fault: Duration) -> Vec<String> {
    let (before, during) = (baseline.as_secs(), fault.as_secs());
    vec![
        "--peer".to_owned(),
        peer.to_owned(),
        "--phases".to_owned(),
        format!("{before}s,{during}s"),
    ]
}

/// What it is told to make a fault itself.
fn injecting(inject: Inject, baseline: Duration, fault: Duration, folder: &Path) -> Vec<String> {
    let Inject { fault: kind, peer } = inject;
    let seconds = |length: Duration| format!("{}s", length.as_secs());
    let (after, lasts) = (seconds(baseline), seconds(fault));
    let events = folder.join("events.jsonl").display().to_string();
    let words = [
        "--peer", peer, "--inject", kind, "--after", &after, "--for", &lasts, "--events", &events,
    ];
    words.map(str::to_owned).to_vec()
}

fn injected(report: &Report) -> Option<(SystemTime, SystemTime)> {
    let fault = report.faults.first()?;
    Some((time(&fault.started)?, time(&fault.ended)?))
}

fn checksum_errors(cluster: &Cluster) -> Result<[u64; 2]> {
    let [one, two] = DATABASES;
    let errors = |name| cluster.host(name)?.netns.counter("Tcp", "InCsumErrors");
    Ok([errors(one)?, errors(two)?])
}

/// What a fault may change of the databases' interfaces, and has to put back.
#[derive(Debug, PartialEq, Eq)]
struct Interfaces(Vec<(String, String)>);

impl Interfaces {
    fn of(cluster: &Cluster) -> Result<Self> {
        let state = |name: &&str| {
            let Host {
                netns, interface, ..
            } = cluster.host(name)?;
            Ok((
                netns.run("tc", &["qdisc", "show", "dev", interface])?,
                netns.run("ethtool", &["-k", interface])?,
            ))
        };
        DATABASES.iter().map(state).collect::<Result<_>>().map(Self)
    }
}

/// Fails when something of a run is still there.
fn nothing_left(program: &Path) -> Result<()> {
    let ours = resource_name::name(TAG, "");
    let left: Vec<String> = netns::names()
        .into_iter()
        .filter(|name| name.starts_with(&ours))
        .collect();
    ensure!(left.is_empty(), "namespaces were left behind: {left:?}");
    tracer::no_fault_left(program, &ours)
}
