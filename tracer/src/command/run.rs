//! `tracer run`, from start to end.

pub(crate) mod context;
pub(crate) mod counter_sync;
pub(crate) mod exporter;
pub(crate) mod finish;
pub(crate) mod live;
pub(crate) mod local_servers;
pub(crate) mod outputs;
pub(crate) mod privileges;
pub(crate) mod session;
pub(crate) mod worker;

use anyhow::Context as _;
use tokio::runtime::Runtime;

use crate::command::run::context::{RunContext, Start};
use crate::command::run::local_servers::LocalServers;
use crate::command::run::outputs::Outputs;
use crate::command::run::session::Session;
use crate::command::run::worker::Worker;
use crate::config::{Config, Namespaces};
use crate::inject::PreparedFault;
use crate::kernel::descriptors;
use crate::kernel::netns::{Entered, Netns};

/// Runs until the time is up or somebody ends it, and writes the report.
///
/// # Errors
/// What the user has to know to get further; nothing is left behind.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    let start = Start::now(config.verbosity)?;
    // Before tracing begins: a bad path fails at once.
    let mut outputs = Outputs::open(config)?;
    let context = RunContext::check(start)?;
    let inside = enter(&config.netns)?;
    let fault = prepare_fault(config)?;
    let session = Session::start(config, context)?;
    let servers = LocalServers::start(config)?;
    privileges::drop_unneeded(config);
    let runtime = event_loop()?;
    let mut worker = Worker::start(config, session, servers, &mut outputs)?;
    let followed = runtime.block_on(worker.follow(fault, outputs.ready.as_mut()));
    // Whatever ended it, what was measured is written down.
    let finished = worker.finish()?;
    drop(inside);
    outputs.conclude(finished, followed)
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
