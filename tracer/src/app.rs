//! `tracer run`, from top to bottom.

mod exposed;

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::Context;
use aya::maps::{MapData, RingBuf};
use log::LevelFilter;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::MissedTickBehavior;
use tracer_core::report::Report;
use tracer_core::{event, render};

use crate::clock::now_ns;
use crate::config::{Config, Namespaces, Verbosity};
use crate::events::{EventFile, EventWriter};
use crate::inject::Schedule;
use crate::kernel::netns::{self, Netns};
use crate::kernel::{offsets, tick};
use crate::listen::{Endpoint, Socket};
use crate::live::Live;
use crate::output::{Output, ReadyFile, stderr};
use crate::postgres::{Commits, Processors, Watch};
use crate::session::{Beside, Session, Surroundings};
use crate::signals::{self, Asked, Signals};
use crate::{descriptors, preflight};

/// How long the end waits for a reader who takes nothing, of what is also elsewhere.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same, of what is nowhere else.
const LAST: Duration = Duration::from_secs(60);

/// Where everything goes that is not the live view.
struct Outputs {
    json: Option<Output>,
    events: Option<EventFile>,
    ready: Option<ReadyFile>,
    listen: Option<Socket>,
}

/// A run that is under way.
struct Run<'a> {
    config: &'a Config,
    session: Session<'a>,
    /// When it ends by itself.
    end: Option<Instant>,
    fault: Option<Schedule>,
    postgres: Option<Watch>,
    commits: Option<Commits>,
    processors: Option<Result<Processors, String>>,
    events: Option<EventWriter>,
    endpoint: Option<Endpoint>,
    live: Live,
}

/// Runs until the time is up or somebody ends it, and writes the report.
///
/// # Errors
/// What the user has to know to get further; nothing is left behind.
pub fn run(config: &Config) -> anyhow::Result<()> {
    let begun = Instant::now();
    start_log(config.verbosity);
    let clock = crate::clock::read();
    let jiffy_ns =
        tick::jiffy_ns().context("the kernel does not say how long its clock tick is")?;
    let mut outputs = Outputs::open(config)?;
    let release = preflight::check()?;
    descriptors::ensure(descriptors::RUN)?;
    let entered = match &config.netns {
        Namespaces::Named(name) => Some(Netns::open(name)?.enter()?),
        Namespaces::Current | Namespaces::All => None,
    };
    let prepared = match &config.inject {
        Some(plan) => Some((plan.request.clone().prepare()?, plan.after)),
        None => None,
    };
    let resolved = offsets::from_running_kernel()?;
    let surroundings = Surroundings {
        clock,
        jiffy_ns,
        release,
        begun,
    };
    let session = Session::start(config, resolved, surroundings)?;
    let netns = servers_netns(config)?;
    let commits = config
        .commits
        .then(|| Commits::start(config.slow_commit, netns));
    let watches_database = config.commits || config.postgres.is_some();
    let processors = watches_database.then(|| Processors::start(netns, now_ns()));
    drop_privileges(config);

    let stdout_is_taken = outputs.json.as_ref().is_some_and(Output::is_stdout)
        || outputs.events.as_ref().is_some_and(EventFile::is_stdout);
    descriptors::ensure(descriptors::LOOP)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let live = Live::new(config.verbosity, stdout_is_taken)
        .context("cannot start a thread for the live view")?;
    let events = outputs.events.map(|file| file.start(clock, jiffy_ns));
    let events = events
        .transpose()
        .context("cannot start a thread for --events")?;
    // What is counted from now on is of the run, also while a database is waited for.
    let counted = Instant::now();
    let mut run = Run {
        config,
        session,
        end: config
            .duration
            .and_then(|duration| counted.checked_add(duration)),
        fault: None,
        postgres: match &config.postgres {
            // After privileges were given up, and in the namespace entered.
            Some(target) => Some(Watch::start(
                target.clone(),
                config.probe,
                config.interval,
                !live.is_terminal(),
            )?),
            None => None,
        },
        commits,
        processors,
        events,
        endpoint: outputs.listen.map(Socket::serve).transpose()?,
        live,
    };
    let followed = runtime.block_on(async {
        let mut signals =
            Signals::install(config.events.is_some()).context("cannot take signals")?;
        run.settle(&mut signals).await;
        run.expose()?;
        if let Some(ready) = &mut outputs.ready {
            ready.announce()?;
        }
        run.fault = prepared.map(|(prepared, after)| {
            Schedule::new(prepared, after.saturating_sub(counted.elapsed()))
        });
        run.follow(&mut signals).await
    });

    // Before anything that takes time.
    run.cease(true);
    if let Some(endpoint) = run.endpoint {
        endpoint.finish();
    }
    // Whatever ended it, what was measured is written down.
    let faults = run.fault.map(Schedule::finish).unwrap_or_default();
    let postgres = run.postgres.map(Watch::finish).transpose()?;
    let commits = run.commits.map(Commits::finish);
    let processors = run.processors;
    let processors = processors.map(|one| one.map(|one| one.finish(now_ns())));
    let (unwritten_events, missing) = match run.events.map(EventWriter::finish) {
        Some((unwritten, missing)) => (unwritten, missing),
        None => Default::default(),
    };
    let report = run.session.finish(Beside {
        faults,
        unwritten_events,
        unwritten_lines: run.live.unwritten(),
        postgres,
        commits,
        processors,
    })?;
    drop(entered);
    drop(outputs.ready);
    let mut errors = Vec::new();
    let mut keep = |error: Option<anyhow::Error>| errors.extend(error);
    keep(followed.err());
    // The report before anything is said: a closed terminal must not cost it.
    let safe = outputs.json.as_ref().is_some_and(|json| !json.is_stream());
    if outputs.json.as_ref().is_some_and(Output::is_stream) {
        signals::surrender();
    }
    if let Some(json) = outputs.json {
        keep(write(json, &report).err());
    }
    keep(missing.map(Into::into));
    signals::surrender();
    let patience = if safe { PATIENCE } else { LAST };
    let summary = |width| render::text::render(&report, width);
    let shown = run.live.conclude(summary, Some(patience));
    keep(shown.context("cannot show the summary").err());
    first(errors)
}

fn write(json: Output, report: &Report) -> anyhow::Result<()> {
    Ok(json.finish_within(&render::json::render(report)?, Some(LAST))?)
}

/// The first error, after all others are said.
fn first(errors: Vec<anyhow::Error>) -> anyhow::Result<()> {
    let mut errors = errors.into_iter();
    let first = errors.next();
    for error in errors {
        let text = descriptors::explained(format!("{error:#}"));
        stderr::say(format_args!("tracer: {text}"));
    }
    first.map_or(Ok(()), Err)
}

impl Outputs {
    /// Opens everything before tracing begins: a bad path fails at once.
    fn open(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            json: config
                .json
                .as_deref()
                .map(|path| Output::create("--json", path))
                .transpose()?,
            events: config
                .events
                .as_deref()
                .map(EventFile::create)
                .transpose()?,
            ready: config
                .ready_file
                .as_deref()
                .map(ReadyFile::prepare)
                .transpose()?,
            listen: config.listen.map(Socket::bind).transpose()?,
        })
    }
}

/// Warnings always; then what the kernel programs log; then every step of the
/// tool's own.
pub(crate) fn start_log(verbosity: Verbosity) {
    let mut logger = env_logger::Builder::new();
    logger.format_target(false);
    logger.target(env_logger::Target::Pipe(Box::new(stderr::Log)));
    match verbosity {
        Verbosity::Quiet | Verbosity::Normal => logger.filter_level(LevelFilter::Warn),
        Verbosity::Verbose(1) => logger
            .filter_level(LevelFilter::Warn)
            .filter_module("tracer_ebpf", LevelFilter::Debug),
        Verbosity::Verbose(_) => logger.filter_level(LevelFilter::Debug),
    };
    // A second run in one process keeps the first one's logger.
    let _ = logger.try_init();
}

/// The only network namespace whose servers are meant: the one that was named, and
/// entered.
fn servers_netns(config: &Config) -> anyhow::Result<Option<u32>> {
    Ok(match config.netns {
        Namespaces::Named(_) => Some(netns::current_inode()?),
        Namespaces::Current | Namespaces::All => None,
    })
}

/// What is still needed: reading our maps, looking into other users' `/proc`,
/// renaming the report in a directory of somebody else, entering other
/// namespaces at the end, and making and undoing the fault.
fn drop_privileges(config: &Config) {
    use caps::Capability::{
        CAP_BPF, CAP_DAC_OVERRIDE, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYS_PTRACE,
    };
    let mut needed = vec![CAP_BPF, CAP_SYS_PTRACE, CAP_DAC_OVERRIDE];
    if config.netns != Namespaces::Current || config.inject.is_some() {
        needed.push(CAP_SYS_ADMIN);
    }
    if config.inject.is_some() {
        needed.extend([CAP_NET_ADMIN, CAP_PERFMON]);
    }
    if let Err(error) = preflight::keep_only(&needed) {
        log::warn!("privileges that are not needed any more could not be dropped: {error}");
    }
}

impl Run<'_> {
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
    async fn follow(&mut self, signals: &mut Signals) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(self.config.interval);
        // A late look is one look, not several in a row.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let mut ring = match self.config.wants_events() {
            true => Some(watch(self.session.take_events()?)?),
            false => None,
        };
        let mut logger = match self.config.verbosity {
            Verbosity::Verbose(_) => Some(watch(self.session.take_log()?)?),
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
                    self.cease(false);
                    if let Some(fault) = &mut self.fault {
                        fault.advance()?;
                    }
                },
                _ = ticks.tick() => {
                    self.look()?;
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
    /// looks at what was sent again in it.
    fn cease(&mut self, now: bool) {
        if let Some(ended_ns) = self.fault.as_mut().and_then(|fault| fault.cease(now)) {
            self.session.look_at_end(ended_ns);
        }
    }

    fn look(&mut self) -> anyhow::Result<()> {
        if let Some(events) = &mut self.events {
            events.flush();
        }
        self.session.look();
        self.expose()?;
        if let Some(Ok(processors)) = &mut self.processors {
            processors.look(now_ns());
        }
        let fault = self.fault.as_ref().map(Schedule::describe);
        let postgres = self.postgres.as_ref().map(Watch::status);
        let commits = self.commits.as_mut().map(Commits::look);
        self.session
            .show(&mut self.live, fault.as_deref(), postgres.as_ref(), commits);
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
fn watch<R: AsRawFd>(ring: R) -> io::Result<AsyncFd<R>> {
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
