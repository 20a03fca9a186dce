//! `cargo xtask soak`: one long run of tracer beside servers that restart, connections
//! that come and go, and retransmits without end. Its memory and its descriptors stay as
//! they are, and its count is the kernel's.

mod traffic;
mod usage;
mod verdict;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use nix::sys::signal::{Signal, kill};
use tracer_core::report::Report;

use crate::provision::{http, repo};
use crate::task::setup;
use crate::testbed::command::Running;
use crate::testbed::netns::{Host, Net};
use crate::testbed::postgres::Pair;
use crate::testbed::{file, interrupt, netns, wait, withheld};
use traffic::Traffic;
use usage::Usage;
use verdict::Reading;

/// In the primary's network namespace, where nobody else is.
const LISTEN: &str = "127.0.0.1:9187";

/// Fewer than there are connections in a minute, so that memory for flows is used up
/// before it is read, and what is beyond is counted together for the rest.
const MAX_FLOWS: &str = "64";

const EVENTS: &str = "events.jsonl";

const SCRAPE: Duration = Duration::from_secs(1);

/// How long an answer, a file, or the end may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How often a long soak does what is rare: a server restarts, the events' file is
/// moved away.
const RARE: Duration = Duration::from_secs(300);

#[derive(Debug, Args)]
pub(crate) struct SoakArguments {
    /// How long tracer runs
    #[arg(long, value_name = "N", default_value_t = 2.0, value_parser = hours)]
    hours: f64,
}

/// A minute at least, a month at most.
fn hours(text: &str) -> Result<f64, String> {
    let hours = text.parse::<f64>().ok();
    let hours = hours.filter(|hours| (1.0 / 60.0..=24.0 * 31.0).contains(hours));
    hours.ok_or_else(|| format!("`{text}`: from 0.017 (a minute) to 744 (a month)"))
}

/// Soaks, and prints what tracer used at each tenth.
pub(crate) fn run(arguments: &SoakArguments) -> Result<()> {
    netns::require_root()?;
    setup::run()?;
    let built = repo::build_release()?;
    soak(&built, Duration::from_secs_f64(arguments.hours * 3600.0))
}

/// Soaks this program for so long.
///
/// # Errors
/// As [`run`].
pub fn soak(built: &Path, long: Duration) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder for the soak")?;
    // What is built meanwhile does not change what runs.
    let program = folder.path().join("tracer");
    file::copy(built, &program)?;
    let net = Net::pair("soak", "ens160")?;
    let (primary, standby) = (net.host("primary")?, net.host("standby")?);
    let mut pair = Pair::start(primary, standby).context("cannot start PostgreSQL")?;
    net.narrow(&traffic::QUEUE)?;

    let plan = Timetable::of(long);
    let within = |name: &str| folder.path().join(name);
    let (ready, report) = (within("ready"), within("run.json"));
    let mut tracer = start(&program, primary, &pair, &plan, folder.path())?;
    let traffic = Traffic::start(primary, standby)?;
    let before = primary.netns.counter("Tcp", "RetransSegs")?;
    let watched = watch(
        &mut tracer,
        &mut pair,
        (primary, standby),
        &plan,
        &within(EVENTS),
    );
    let transfers = traffic.stop();
    let readings = watched?;
    let transfers = transfers?;
    tracer.finish(LIMIT)?;
    ensure!(!ready.exists(), "tracer left its ready file behind");
    let grown = primary.netns.counter("Tcp", "RetransSegs")? - before;

    let bytes = file::read(&report).context("tracer left no report")?;
    let counts = Report::read(&bytes).context("the report cannot be read")?;
    println!("{}", verdict::table(&readings));
    println!("connections made and closed: {transfers}");
    let good = counted(&counts, grown).and_then(|()| verdict::check(&readings, plan.settled));
    if good.is_err() {
        let kept = repo::target_dir().join("soak.json");
        file::copy(&report, &kept)?;
        println!("the report is kept: {}", kept.display());
    }
    good
}

/// When what is done, by how long it all lasts.
#[derive(Debug)]
struct Timetable {
    long: Duration,
    /// From when on memory has to be flat.
    settled: Duration,
    /// tracer's own interval.
    interval: Duration,
    /// Between two polls of what tracer uses.
    poll: Duration,
    rare: Duration,
}

impl Timetable {
    fn of(long: Duration) -> Self {
        Self {
            long,
            settled: Duration::from_secs(600).min(long / 3),
            // A report keeps every interval, as it should, at some 5 KiB here: with a hundred
            // of them, what grows beside that is seen.
            interval: (long / 120).clamp(Duration::from_millis(500), Duration::from_secs(60)),
            poll: (long / 240).clamp(Duration::from_millis(250), Duration::from_secs(15)),
            rare: RARE.min(long / 4),
        }
    }
}

/// tracer with all that it can watch, once everything is counted.
fn start(
    program: &Path,
    primary: &Host,
    pair: &Pair,
    plan: &Timetable,
    folder: &Path,
) -> Result<Running> {
    let ready = folder.join("ready");
    let mut run = primary.netns.command(program);
    let dsn = format!(
        "host={} user=postgres",
        pair.primary().socket_dir().display()
    );
    run.args(["run", "--all", "--quiet", "--pg", &dsn, "--commits"])
        .args(["--commit-probe", "1", "--listen", LISTEN])
        .args(["--interval", &format!("{}ms", plan.interval.as_millis())])
        .args(["--max-flows", MAX_FLOWS])
        .arg("--json")
        .arg(folder.join("run.json"))
        .arg("--events")
        .arg(folder.join(EVENTS))
        .arg("--ready-file")
        .arg(&ready)
        .stdin(Stdio::null());
    let mut tracer = Running::start(&mut run, "tracer")?;
    tracer.until_exists(LIMIT, "tracer to count", &ready)?;
    Ok(tracer)
}

/// Does what is due, each in its time, until all of it is over.
fn watch(
    tracer: &mut Running,
    pair: &mut Pair,
    (primary, standby): (&Host, &Host),
    plan: &Timetable,
    events: &Path,
) -> Result<Vec<Reading>> {
    let begun = Instant::now();
    let mut due = [SCRAPE, plan.poll, plan.rare];
    let mut readings = Vec::new();
    let (mut scrapes, mut restarts) = (0_u64, 0_u64);
    loop {
        interrupt::check()?;
        if let Some(status) = tracer.ended()? {
            bail!("tracer ended early ({status})");
        }
        let now = begun.elapsed();
        if now >= plan.long {
            println!("scrapes {scrapes}, servers restarted {restarts}");
            return Ok(readings);
        }
        if now >= due[0] {
            due[0] = now + SCRAPE;
            scrape(primary)?;
            scrapes += 1;
        }
        if now >= due[1] {
            due[1] = now + plan.poll;
            let usage = Usage::of(tracer.pid())?;
            readings.push(Reading { at: now, usage });
        }
        if now >= due[2] {
            due[2] = now + plan.rare;
            match restarts % 2 {
                0 => pair.standby_mut().restart(standby),
                _ => pair.primary_mut().restart(primary),
            }?;
            restarts += 1;
            rotate(tracer, events)?;
        }
        let next = due.into_iter().min().unwrap_or(SCRAPE);
        sleep(next.saturating_sub(begun.elapsed()).min(SCRAPE));
    }
}

/// As Prometheus does.
fn scrape(host: &Host) -> Result<()> {
    let server: SocketAddr = LISTEN.parse()?;
    let answer = host.netns.enter(|| http::get(server, "/metrics", LIMIT));
    let answer = answer.context("the metrics cannot be had")?;
    ensure!(
        answer.status == 200 && answer.body.ends_with("# EOF\n"),
        "half of the metrics: {} {}",
        answer.status,
        answer.body
    );
    Ok(())
}

/// As logrotate does: moved away, and a new one is there after SIGHUP.
fn rotate(tracer: &Running, events: &Path) -> Result<()> {
    let old = events.with_extension("old");
    fs::rename(events, &old).context("cannot move the events away")?;
    kill(tracer.pid(), Signal::SIGHUP)?;
    wait::until(LIMIT, "a new file of events", || {
        Ok(events.exists().then_some(()))
    })?;
    Ok(fs::remove_file(old)?)
}

/// That the report counts what the kernel does, and lost nothing.
fn counted(report: &Report, grown: u64) -> Result<()> {
    let totals = &report.totals;
    let kernel = totals
        .kernel_retrans_segs
        .context("the report does not say what the kernel counted")?;
    let difference = totals
        .difference
        .context("the report does not say how its count differs from the kernel's")?;
    let unwritten = report.gaps.unwritten_events;
    println!(
        "retransmitted: {} segments counted, {kernel} by the kernel ({grown} after the \
         start), difference {difference}; events not written: {unwritten}",
        totals.segments
    );
    let allowed = withheld::segments(kernel)?;
    ensure!(
        (0..=allowed.cast_signed()).contains(&difference),
        "the count is not the kernel's"
    );
    ensure!(unwritten == 0, "events were lost");
    ensure!(grown > 0, "nothing was retransmitted");
    ensure!(
        kernel >= grown,
        "the kernel's own count is not the namespace's"
    );
    Ok(())
}
