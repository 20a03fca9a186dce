//! A run of an experiment: cluster, clients, tracer on both databases' hosts; then
//! what is done to it; then everything away, and all that was seen.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use tracer_core::report::Report;

use super::cluster::{CLIENT, Cluster, DATABASES};
use super::context::{Lengths, RunContext};
use super::experiment::Variant;
use super::outcome::{Outcome, time};
use super::timing::Timing;
use super::tracer::{self, EVERYBODY, Tracer};
use super::watch::Watch;
use crate::testbed::load::clients::Clients;
use crate::testbed::load::phase::Phases;
use crate::testbed::netns::{self, Host};
use crate::testbed::resource_name;

/// Part of the names of all that belongs to a run.
const TAG: &str = "run";

/// Where tracer writes its events when it makes the fault itself.
pub(super) const EVENTS: &str = "events.jsonl";

/// A fault that `tracer run` itself makes on the second database's host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inject {
    pub(super) fault: &'static str,
    pub(super) peer: &'static str,
}

/// A variant of an experiment that is to be run.
pub(super) struct Script<'a> {
    pub(super) variant: &'a Variant,
    pub(super) lengths: Lengths,
    pub(super) timing: &'a Timing,
    /// Where this run's files go.
    pub(super) folder: &'a Path,
    /// The program under test.
    pub(super) program: &'a Path,
    /// What ran; found out before it did.
    pub(super) commit: String,
}

/// Runs it. Also a cluster that was not in its roles before or after, whose commits did not
/// wait for the standby, or of which something is left behind is an error.
pub(super) fn run(script: &Script) -> Result<Outcome> {
    let begun = Instant::now();
    let own_disk = script.variant.setup.own_disk;
    let cluster = Cluster::start(TAG, script.timing, own_disk, script.folder)?;
    let outcome = observe(script, cluster, begun.elapsed())?;
    nothing_left(script.program)?;
    Ok(outcome)
}

fn observe(script: &Script, mut cluster: Cluster, up: Duration) -> Result<Outcome> {
    let [first, second] = DATABASES;
    let setup = &script.variant.setup;
    ensure!(cluster.primary()? == first, "the primary is not {first}");
    cluster.prove_commits_wait()?;
    println!(
        "lab        up after {:.1} s; a commit was seen to wait for the standby",
        up.as_secs_f64()
    );
    let before = interfaces(&cluster)?;
    let watch = Watch::start(&cluster)?;
    let since = SystemTime::now();
    let clients = Clients::start(
        &cluster.host(CLIENT)?.netns,
        cluster.entrance()?,
        cluster.sql(first)?,
        (setup.profile)(),
    )?;
    let errors_before = checksum_errors(&cluster)?;

    let mut more = phases(script.lengths);
    more.extend(setup.watch.iter().map(|&word| word.to_owned()));
    let one = Tracer::watch(script, &cluster, first, &more)?;
    let more = match setup.inject {
        None => phases(script.lengths),
        Some(inject) => injecting(inject, script),
    };
    let two = Tracer::watch(script, &cluster, second, &more)?;
    for watcher in [&one, &two] {
        cluster.spare(watcher.pid());
    }
    let mut run = RunContext::new(cluster, script);
    let commands = vec![one.line.clone(), two.line.clone()];
    if let Err(error) = (script.variant.act)(&mut run) {
        // Before the hosts go, and all that is on them: a fault is undone by its tracer.
        drop((one, two));
        return Err(error);
    }

    let cluster = &mut run.cluster;
    cluster.check()?;
    let reports = [one.finish()?, two.finish()?];
    let until = SystemTime::now();
    let records = clients.stop();
    let errors_after = checksum_errors(cluster)?;
    let roles = watch.stop();
    cluster.wait_healthy()?;
    cluster
        .prove_commits_wait()
        .context("after the run, commits no longer wait for the standby")?;
    let after = interfaces(cluster)?;
    ensure!(
        before == after,
        "the interfaces are not what they were: {before:?}, then {after:?}"
    );
    let (started, ended) = match setup.inject {
        Some(_) => injected(&reports[1]).context("tracer does not say when its fault was")?,
        None => run.fault().context("no fault was made")?,
    };
    Ok(Outcome {
        phases: Phases::around(since, started, ended, until),
        records,
        roles,
        notes: run.notes,
        merged: tracer_core::merge::merge(reports.clone(), DATABASES)?,
        reports,
        checksum_errors: [0, 1].map(|host| errors_after[host] - errors_before[host]),
        extra: run.extra,
        words: Vec::new(),
        commands,
        timing: script.timing.clone(),
        folder: script.folder.to_owned(),
        up,
    })
}

/// Options for a fault that somebody else makes.
fn phases(lengths: Lengths) -> Vec<String> {
    let (before, during) = (lengths.baseline.as_secs(), lengths.fault.as_secs());
    let phases = format!("{before}s,{during}s");
    ["--peer", EVERYBODY, "--phases", &phases]
        .map(str::to_owned)
        .to_vec()
}

/// Options for a fault of its own.
fn injecting(inject: Inject, script: &Script) -> Vec<String> {
    let Inject { fault, peer } = inject;
    let seconds = |length: Duration| format!("{}s", length.as_secs());
    let (after, lasts) = (
        seconds(script.lengths.baseline),
        seconds(script.lengths.fault),
    );
    let events = script.folder.join(EVENTS).display().to_string();
    let words = [
        "--peer", peer, "--inject", fault, "--after", &after, "--for", &lasts, "--events", &events,
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
fn interfaces(cluster: &Cluster) -> Result<Vec<(String, String)>> {
    let state = |name: &&str| {
        let Host {
            netns, interface, ..
        } = cluster.host(name)?;
        Ok((
            netns.run("tc", &["qdisc", "show", "dev", interface])?,
            netns.run("ethtool", &["-k", interface])?,
        ))
    };
    DATABASES.iter().map(state).collect()
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
