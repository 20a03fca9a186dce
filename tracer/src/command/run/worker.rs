//! The loop of a run: it owns all that takes part, and gives each its turn.

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use aya::maps::{MapData, RingBuf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::MissedTickBehavior;
use tracer_core::event;
use tracer_core::recording::roles::Known;

use crate::command::run::exporter::{Exporter, ListenSocket, metrics};
use crate::command::run::live::Live;
use crate::command::run::local_servers::LocalServers;
use crate::command::run::outputs::Outputs;
use crate::command::run::session::Session;
use crate::command::signals::{Asked, Signals};
use crate::config::{Config, Verbosity};
use crate::files::ReadyFile;
use crate::inject::{PreparedFault, Schedule};
use crate::postgres::Monitor;
use crate::programs::event_file::EventWriter;

/// How often to look whether servers have ended: as many are started and ended in a while as
/// there are places for in the kernel.
const TEND_SERVERS: Duration = Duration::from_secs(1);
/// How often to look for events. The kernel programs wake nobody for a few of them.
const LOOK_FOR_EVENTS: Duration = Duration::from_millis(50);

/// A run, and all that takes part in it.
pub(crate) struct Worker<'a> {
    config: &'a Config,
    pub(super) session: Session<'a>,
    /// From when on all is of the run.
    counted: Instant,
    /// When it ends by itself.
    end: Option<Instant>,
    pub(super) fault: Option<Schedule>,
    pub(super) postgres: Option<Monitor>,
    pub(super) servers: LocalServers,
    pub(super) events: Option<EventWriter>,
    pub(super) exporter: Option<Exporter>,
    pub(super) live: Live,
}

impl<'a> Worker<'a> {
    /// Starts what has a thread of its own, with the privileges of the caller.
    pub(crate) fn start(
        config: &'a Config,
        session: Session<'a>,
        servers: LocalServers,
        outputs: &mut Outputs,
    ) -> anyhow::Result<Self> {
        let live = Live::new(config.verbosity, outputs.take_stdout())
            .context("cannot start a thread for the live view")?;
        let (clock, jiffy_ns) = (session.context.clock, session.context.jiffy_ns);
        let events = outputs.events.take();
        let events = events.map(|file| file.start(clock, jiffy_ns)).transpose();
        let events = events.context("cannot start a thread for --events")?;
        // What is counted from now on is of the run, also while a database is waited for.
        let counted = Instant::now();
        Ok(Self {
            config,
            session,
            counted,
            end: config.duration.and_then(|lasts| counted.checked_add(lasts)),
            fault: None,
            postgres: match &config.postgres {
                // After privileges were given up, and in the namespace entered.
                Some(target) => Some(Monitor::start(
                    target.clone(),
                    config.probe,
                    config.interval,
                    !live.is_terminal(),
                )?),
                None => None,
            },
            servers,
            events,
            exporter: outputs.listen.take().map(ListenSocket::serve).transpose()?,
            live,
        })
    }

    /// Waits for the database, says that all is ready, and watches until the end.
    pub(crate) async fn follow(
        &mut self,
        fault: Option<PreparedFault>,
        ready: Option<&mut ReadyFile>,
    ) -> anyhow::Result<()> {
        let mut signals =
            Signals::install(self.config.events.is_some()).context("cannot take signals")?;
        self.settle(&mut signals).await;
        self.export()?;
        if let Some(ready) = ready {
            ready.announce()?;
        }
        let after = self.config.inject.as_ref().map(|plan| plan.after);
        self.fault = fault.zip(after).map(|(prepared, after)| {
            Schedule::new(prepared, after.saturating_sub(self.counted.elapsed()))
        });
        self.watch(&mut signals).await
    }

    /// Waits until something is known of the database, for a while, and for nobody who
    /// wants to go.
    async fn settle(&mut self, signals: &mut Signals) {
        let Some(postgres) = &mut self.postgres else {
            return;
        };
        let settled = postgres.settle();
        tokio::pin!(settled);
        loop {
            tokio::select! {
                biased;
                asked = signals.any() => match asked {
                    Asked::End => {
                        self.end = Some(Instant::now());
                        return;
                    }
                    Asked::Reopen => if let Some(events) = &mut self.events {
                        events.reopen();
                    },
                },
                () = at(self.end.map(Into::into)) => return,
                () = &mut settled => return,
            }
        }
    }

    /// Watches until the end.
    async fn watch(&mut self, signals: &mut Signals) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(self.config.interval);
        // A late sample is one sample, not several in a row.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let mut ring = match self.config.wants_events() {
            true => Some(polled(self.session.programs.take_events()?)?),
            false => None,
        };
        let mut tends = tokio::time::interval(TEND_SERVERS);
        tends.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = tokio::time::interval(LOOK_FOR_EVENTS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut logger = match self.config.verbosity {
            Verbosity::Verbose(_) => {
                let log = self.session.programs.logger();
                let log = log.context("the log of the kernel programs cannot be read")?;
                Some(polled(log)?)
            }
            Verbosity::Quiet | Verbosity::Normal => None,
        };
        let end = at(self.end.map(Into::into));
        tokio::pin!(end);
        loop {
            let due = self.fault.as_ref().and_then(Schedule::next);
            tokio::select! {
                biased;
                asked = signals.any() => match asked {
                    Asked::End => break,
                    Asked::Reopen => if let Some(events) = &mut self.events {
                        events.reopen();
                    },
                },
                () = &mut end => break,
                () = at(due) => {
                    self.cease_fault(false);
                    if let Some(fault) = &mut self.fault {
                        fault.advance()?;
                    }
                },
                _ = ticks.tick() => {
                    self.poll()?;
                    // Nobody reads along any more: that is an end like Ctrl-C, unless
                    // the run was started to outlive its terminal.
                    if self.live.is_left() && !signals.survives_terminal() {
                        break;
                    }
                },
                readable = readable(&mut ring) => {
                    readable?;
                    self.drain(&mut ring);
                }
                _ = looks.tick(), if ring.is_some() => self.drain(&mut ring),
                _ = tends.tick() => self.servers.tend(),
                flushed = flush_log(&mut logger) => flushed?,
            }
        }
        // What happened up to the end is still in the buffers.
        self.drain(&mut ring);
        if let Some(events) = &mut self.events {
            events.flush();
        }
        if let Some(logger) = &mut logger {
            logger.get_mut().flush();
        }
        Ok(())
    }

    /// Ends the fault if that is due or asked for `now`, all but for undoing it, and
    /// counts what was retransmitted in it.
    pub(super) fn cease_fault(&mut self, now: bool) {
        if let Some(ended_ns) = self.fault.as_mut().and_then(|fault| fault.cease(now)) {
            self.session.poll_at_end(ended_ns);
        }
    }

    /// One interval's samples, and what they show.
    fn poll(&mut self) -> anyhow::Result<()> {
        if let Some(events) = &mut self.events {
            events.flush();
        }
        let postgres = self.postgres.as_ref().map(Monitor::status);
        let nothing = Known::default();
        let known = postgres.as_ref().map_or(&nothing, |status| &status.known);
        self.session.poll(known);
        self.export()?;
        let commits = self.servers.poll();
        let fault = self.fault.as_ref().map(Schedule::describe);
        let postgres = self.postgres.as_ref().map(Monitor::status);
        self.session
            .show(&mut self.live, fault.as_deref(), postgres.as_ref(), commits);
        Ok(())
    }

    /// Shows the last sample to Prometheus, if anybody is to see it.
    fn export(&mut self) -> anyhow::Result<()> {
        let Some(exporter) = &self.exporter else {
            return Ok(());
        };
        let status = self.postgres.as_ref().map(Monitor::status);
        let nothing = Known::default();
        let known = status.as_ref().map_or(&nothing, |status| &status.known);
        let mut metrics = metrics::of_network(&mut self.session, known)?;
        let unwritten = self.events.as_ref().map(EventWriter::unwritten);
        metrics.health.unwritten_events = unwritten.unwrap_or_default();
        metrics.fault_active = self.fault.as_ref().map(Schedule::is_active);
        if let (Some(monitor), Some(status)) = (&self.postgres, &status) {
            metrics.database = Some(metrics::of_database(status.sample(), monitor.probed()));
        }
        if let Some(commits) = &mut self.servers.commits {
            metrics.commits = commits.spreads();
            metrics.received = commits.received();
            metrics.health.gaps.push(commits.not_counted());
        }
        exporter.show(metrics);
        Ok(())
    }

    /// Takes the events that are there now, and writes them if somebody wants that.
    fn drain(&mut self, ring: &mut Ring) {
        let Some(ring) = ring else {
            return;
        };
        while let Some(record) = ring.get_mut().next() {
            match event::decode(&record) {
                Ok(event) => {
                    self.session.note(&event);
                    if let Some(writer) = &mut self.events {
                        writer.write(&event);
                    }
                }
                Err(error) => self.session.count_undecodable(&error),
            }
        }
    }
}

type Ring = Option<AsyncFd<RingBuf<MapData>>>;
type Logger = Option<AsyncFd<aya_log::EbpfLogger<&'static dyn log::Log>>>;

/// Waits for a moment; for ever if there is none.
async fn at(moment: Option<tokio::time::Instant>) {
    match moment {
        None => std::future::pending().await,
        Some(moment) => tokio::time::sleep_until(moment).await,
    }
}

/// Lets the event loop wait for one of the kernel's ring buffers.
fn polled<R: AsRawFd>(ring: R) -> io::Result<AsyncFd<R>> {
    // SAFETY: callers pass ring buffers, which own their descriptor and keep it
    // until they are dropped.
    Ok(unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }?)
}

/// Waits until there are events; for ever if nobody wants any.
async fn readable(ring: &mut Ring) -> io::Result<()> {
    match ring {
        None => std::future::pending().await,
        Some(ring) => {
            ring.readable_mut().await?.clear_ready();
            Ok(())
        }
    }
}

/// Waits until the kernel programs have logged something, and logs it.
async fn flush_log(logger: &mut Logger) -> io::Result<()> {
    match logger {
        None => std::future::pending().await,
        Some(logger) => {
            let mut guard = logger.readable_mut().await?;
            guard.get_inner_mut().flush();
            guard.clear_ready();
            Ok(())
        }
    }
}
