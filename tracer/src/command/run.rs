//! `tracer run`, from start to end.

pub(crate) mod counter_sync;
pub(crate) mod exporter;
pub(crate) mod finish;
pub(crate) mod live;
pub(crate) mod local_servers;
pub(crate) mod outputs;
pub(crate) mod privileges;
pub(crate) mod session;
pub(crate) mod worker;

use std::slice;
use std::time::Instant;

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tracer_core::clock::Clock;
use tracer_core::report::Report;

use crate::cli::RunArguments;
use crate::command::log::start_log;
use crate::command::run::local_servers::LocalServers;
use crate::command::run::outputs::Outputs;
use crate::command::run::session::Session;
use crate::command::run::worker::Worker;
use crate::commit_trace::EarlierServers;
use crate::config::{Config, Namespaces};
use crate::files::input::{contents, name};
use crate::files::{distinct, unread};
use crate::inject::PreparedFault;
use crate::kernel::netns::{Entered, Netns};
use crate::kernel::{clock, descriptors, preflight, tick};

/// Where and when a run takes place.
#[derive(Debug)]
pub(crate) struct RunContext {
    /// Converts the kernel's moments to UTC.
    clock: Clock,
    /// Length of a jiffy, ns.
    jiffy_ns: u64,
    /// Release of the kernel.
    release: String,
    /// When the tool was started.
    begun: Instant,
}

/// Runs until the time is up or somebody ends it, and writes the report. After an error, too,
/// nothing is left behind.
pub(crate) fn run(arguments: &RunArguments) -> anyhow::Result<()> {
    let config = &Config::from_arguments(arguments)?;
    distinct(&[
        ("--json", config.json.as_deref()),
        ("--events", config.events.as_deref()),
        ("--ready-file", config.ready_file.as_deref()),
    ])?;
    let earlier = earlier(config)?;
    let (begun, clock) = (Instant::now(), clock::read());
    start_log(config.verbosity);
    // Before tracing begins: a bad path fails at once.
    let mut outputs = Outputs::open(config)?;
    let context = RunContext {
        clock,
        jiffy_ns: tick::jiffy_ns().context("the kernel does not say how long its clock tick is")?,
        release: preflight::check()?,
        begun,
    };
    descriptors::ensure(descriptors::RUN)?;
    let inside = enter(&config.netns)?;
    let fault = prepare_fault(config)?;
    let session = Session::start(config, context)?;
    let servers = LocalServers::start(config, earlier)?;
    privileges::drop_unneeded(config);
    let runtime = event_loop()?;
    let mut worker = Worker::start(config, session, servers, &mut outputs)?;
    let followed = runtime.block_on(worker.follow(fault, outputs.ready.as_mut()));
    // Whatever ended it, what was measured is written down.
    let finished = worker.finish()?;
    drop(inside);
    outputs.conclude(finished, followed)
}

/// What an earlier report says of servers, if one was named.
fn earlier(config: &Config) -> anyhow::Result<EarlierServers> {
    let Some(path) = &config.compare_to else {
        return Ok(EarlierServers::default());
    };
    unread(slice::from_ref(path), "--json", config.json.as_deref())?;
    let report = Report::read(&contents(path)?).with_context(|| name(path))?;
    Ok(EarlierServers::of(&report))
}

/// Moves this thread into the network namespace that was named, if one was.
fn enter(namespaces: &Namespaces) -> anyhow::Result<Option<Entered>> {
    Ok(match namespaces {
        Namespaces::Named(name) => Some(Netns::open(name)?.enter()?),
        Namespaces::Current | Namespaces::All => None,
    })
}

/// The fault that was asked for, found possible while nothing is traced yet.
fn prepare_fault(config: &Config) -> anyhow::Result<Option<PreparedFault>> {
    let fault = config.inject.as_ref();
    Ok(fault
        .map(|plan| plan.request.clone().prepare())
        .transpose()?)
}

fn event_loop() -> anyhow::Result<Runtime> {
    descriptors::ensure(descriptors::LOOP)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")
}
