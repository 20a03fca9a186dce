//! The thread that watches the database: what it does never holds up the count,
//! and what the count does never holds it up.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{oneshot, watch};
use tracer_core::recording::database::DatabaseRecord;
use tracer_core::recording::probe::Plan;
use tracer_core::render::status::Status;

use crate::kernel::clock::now_ns;
use crate::postgres::connection::target::Target;
use crate::postgres::connection::{Door, Inside};
use crate::postgres::latency_probe::{LatencyProbe, ProbeState, Probed};
use crate::postgres::sampler::Sampler;

/// How long the start waits for the first answer: whoever reads the first line, or
/// waits for the file that says that everything is counted, has it then.
const SETTLING: Duration = Duration::from_secs(2);

/// How long the end waits for the server to have closed all connections.
const LEAVING: Duration = Duration::from_secs(3);

/// A database that is being watched.
#[derive(Debug)]
pub(crate) struct Monitor {
    stop: oneshot::Sender<()>,
    status: watch::Receiver<Status>,
    probe: Option<Arc<ProbeState>>,
    thread: JoinHandle<DatabaseRecord>,
}

impl Monitor {
    /// Begins, in the network namespace and with the privileges of the calling
    /// thread. `logs` is whether failures are logged.
    pub(crate) fn start(
        target: Target,
        plan: Option<Plan>,
        every: Duration,
        logs: bool,
    ) -> anyhow::Result<Self> {
        let door = Arc::new(Door::new(target));
        let probe = match plan {
            Some(plan) => Some(
                LatencyProbe::new(plan, Arc::clone(&door), every)
                    .context("there is no memory for the commit probe's histograms")?,
            ),
            None => None,
        };
        let shared = probe.as_ref().map(LatencyProbe::shared);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the event loop for PostgreSQL")?;
        let (stop, stopped) = oneshot::channel();
        let (sender, status) = watch::channel(Status::default());
        let thread = thread::Builder::new()
            // What the kernel shows as the owner of its connections.
            .name(env!("CARGO_PKG_NAME").to_owned())
            .spawn(move || {
                let target = &door.target;
                let mut record =
                    DatabaseRecord::new(target.to_string(), target.warnings.clone(), now_ns());
                record
                    .ports
                    .extend(target.places.iter().map(|place| place.port));
                runtime.block_on(async {
                    let sampler = Sampler::new(&door, every, &mut record, &sender, logs);
                    tokio::select! {
                        _ = stopped => {}
                        () = sampler.run() => {}
                        () = run(probe.as_ref()) => {}
                    }
                    if let Some(probe) = probe {
                        record.probed(probe.finish().await);
                    }
                    let left = door.all_out(LEAVING).await;
                    record.warnings.extend(still_open(left, &door));
                });
                // A look-up of a name that hangs is not waited for.
                runtime.shutdown_background();
                record.close();
                record
            })
            .context("cannot start a thread for PostgreSQL")?;
        Ok(Self {
            stop,
            status,
            probe: shared,
            thread,
        })
    }

    /// Waits until something is known of the server, for a while.
    pub(crate) async fn settle(&mut self) {
        let settled = self.status.wait_for(Status::is_settled);
        let _ = tokio::time::timeout(SETTLING, settled).await;
    }

    /// What is known at the moment.
    pub(crate) fn status(&self) -> Status {
        let mut status = self.status.borrow().clone();
        status.probe = self.probe.as_ref().and_then(|probe| probe.line());
        status
    }

    /// What the commit probe has measured so far, if there is one.
    pub(crate) fn probed(&self) -> Option<Probed> {
        self.probe.as_ref().map(|probe| probe.probed())
    }

    /// Ends it.
    pub(crate) fn finish(self) -> anyhow::Result<DatabaseRecord> {
        // Nobody there to hear it has ended already.
        let _ = self.stop.send(());
        self.thread
            .join()
            .map_err(|_| anyhow::anyhow!("the thread that watched PostgreSQL has panicked"))
    }
}

/// Runs the probe; for ever, or until it has no timer.
async fn run(probe: Option<&LatencyProbe>) {
    if let Some(probe) = probe {
        probe.run().await;
    }
    std::future::pending::<()>().await;
}

/// What to say of connections that the server has not closed.
fn still_open(left: Inside, door: &Door) -> Option<String> {
    let sessions = left.sessions + left.given_up;
    (sessions > 0).then(|| {
        format!(
            "PostgreSQL: {sessions} of tracer's connections to {} may still be open: the server did \
             not close them within {} s; they are called {} in pg_stat_activity, and \
             pg_terminate_backend ends them",
            door.target,
            LEAVING.as_secs(),
            crate::postgres::connection::APPLICATION,
        )
    })
}
