//! `tracer run`, from top to bottom.

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::Context;
use aya::maps::{MapData, RingBuf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::clock::Clock;
use crate::config::{Config, Namespaces, Verbosity};
use crate::decode;
use crate::events::EventWriter;
use crate::kernel::netns::Netns;
use crate::kernel::{offsets, tick};
use crate::live::Live;
use crate::output::{Output, ReadyFile};
use crate::preflight;
use crate::session::{Session, Surroundings};
use crate::sink;

/// Where everything goes that is not the live view.
struct Outputs {
    json: Option<Output>,
    events: Option<EventWriter>,
    ready: Option<ReadyFile>,
}

/// Why the tool stopped watching.
enum Ending {
    /// The time was up, or somebody asked for the end.
    Asked,
    /// The events could not be written any more.
    Failed(anyhow::Error),
}

/// Runs until the time is up or somebody ends it, and writes the report.
///
/// # Errors
/// What the user has to know to get further; nothing is left behind.
pub fn run(config: &Config) -> anyhow::Result<()> {
    let begun = Instant::now();
    start_log(config.verbosity);
    let clock = Clock::read();
    let jiffy_ns =
        tick::jiffy_ns().context("the kernel does not say how long its clock tick is")?;
    let mut outputs = Outputs::open(config, clock, jiffy_ns)?;
    let release = preflight::check()?;
    let entered = match &config.netns {
        Namespaces::Named(name) => Some(Netns::open(name)?.enter()?),
        Namespaces::Current | Namespaces::All => None,
    };
    let resolved = offsets::from_running_kernel()?;
    let surroundings = Surroundings {
        clock,
        jiffy_ns,
        release,
        begun,
    };
    let mut session = Session::start(config, resolved, surroundings)?;
    if let Some(ready) = &outputs.ready {
        ready.announce()?;
    }
    drop_privileges(config);

    let stdout_is_taken = outputs.json.as_ref().is_some_and(Output::is_stdout);
    let mut live = Live::new(config.verbosity, stdout_is_taken);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let ending = runtime.block_on(follow(config, &mut session, &mut outputs.events, &mut live))?;

    let report = session.finish()?;
    drop(entered);
    if let Some(events) = &mut outputs.events {
        events.flush()?;
    }
    // The file first: a closed terminal must not cost the report.
    if let Some(json) = outputs.json.take() {
        json.finish(&sink::json::render(&report)?)?;
    }
    tolerate_closed(live.conclude(|width| sink::text::render(&report, width)))?;
    match ending {
        Ending::Asked => Ok(()),
        Ending::Failed(error) => Err(error),
    }
}

impl Outputs {
    /// Opens everything before tracing begins: a bad path fails at once.
    fn open(config: &Config, clock: Clock, jiffy_ns: u64) -> anyhow::Result<Self> {
        Ok(Self {
            json: config
                .json
                .as_deref()
                .map(|path| Output::create("--json", path))
                .transpose()?,
            events: config
                .events
                .as_deref()
                .map(|path| EventWriter::create(path, clock, jiffy_ns))
                .transpose()?,
            ready: config
                .ready_file
                .as_deref()
                .map(ReadyFile::prepare)
                .transpose()?,
        })
    }
}

/// Warnings always; what the kernel programs log only when asked for.
fn start_log(verbosity: Verbosity) {
    let level = match verbosity {
        Verbosity::Quiet | Verbosity::Normal => log::LevelFilter::Warn,
        Verbosity::Verbose(1) => log::LevelFilter::Info,
        Verbosity::Verbose(_) => log::LevelFilter::Debug,
    };
    // A second run in one process keeps the first one's logger.
    let _ = env_logger::Builder::new()
        .filter_level(level)
        .format_target(false)
        .try_init();
}

/// What is still needed: reading our maps, looking into other users' `/proc`,
/// renaming the report in a directory of somebody else, and entering other
/// namespaces at the end.
fn drop_privileges(config: &Config) {
    use caps::Capability::{CAP_BPF, CAP_DAC_OVERRIDE, CAP_SYS_ADMIN, CAP_SYS_PTRACE};
    let mut needed = vec![CAP_BPF, CAP_SYS_PTRACE, CAP_DAC_OVERRIDE];
    // Leaving a namespace, too, is entering one.
    if config.netns != Namespaces::Current {
        needed.push(CAP_SYS_ADMIN);
    }
    if let Err(error) = preflight::keep_only(&needed) {
        log::warn!("privileges that are not needed any more could not be dropped: {error}");
    }
}

/// Watches until the end.
async fn follow(
    config: &Config,
    session: &mut Session<'_>,
    events: &mut Option<EventWriter>,
    live: &mut Live,
) -> anyhow::Result<Ending> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut ticks = tokio::time::interval(config.interval);
    // A late look is one look, not several in a row.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut ring = match events {
        Some(_) => Some(watch(session.take_events()?)?),
        None => None,
    };
    let mut logger = match config.verbosity {
        Verbosity::Verbose(_) => Some(watch(session.take_log()?)?),
        Verbosity::Quiet | Verbosity::Normal => None,
    };
    let end = tokio::time::sleep(config.duration.unwrap_or(Duration::MAX));
    tokio::pin!(end);

    let ending = loop {
        tokio::select! {
            biased;
            _ = interrupt.recv() => break Ending::Asked,
            _ = terminate.recv() => break Ending::Asked,
            _ = hangup.recv() => break Ending::Asked,
            () = &mut end => break Ending::Asked,
            _ = ticks.tick() => {
                session.look();
                if let Err(error) = session.show(live) {
                    break tolerate_closed(Err(error)).map_or_else(|e| Ending::Failed(e.into()), |()| Ending::Asked);
                }
                if let Some(writer) = events.as_mut() && let Err(error) = writer.flush() {
                    break Ending::Failed(error.into());
                }
            }
            readable = readable(&mut ring) => {
                readable?;
                if let Err(error) = drain(session, &mut ring, events) {
                    break Ending::Failed(error);
                }
            }
            flushed = flush_log(&mut logger) => flushed?,
        }
    };
    // What happened up to the end is still in the buffers.
    if let Ending::Asked = ending
        && let Err(error) = drain(session, &mut ring, events)
    {
        return Ok(Ending::Failed(error));
    }
    if let Some(logger) = &mut logger {
        logger.get_mut().flush();
    }
    Ok(ending)
}

type Ring = Option<AsyncFd<RingBuf<MapData>>>;
type Logger = Option<AsyncFd<aya_log::EbpfLogger<&'static dyn log::Log>>>;

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

/// Writes the events that are there now.
fn drain(
    session: &mut Session<'_>,
    ring: &mut Ring,
    events: &mut Option<EventWriter>,
) -> anyhow::Result<()> {
    let (Some(ring), Some(writer)) = (ring, events) else {
        return Ok(());
    };
    while let Some(record) = ring.get_mut().next() {
        match decode::decode(&record) {
            Ok(event) => writer.write(&event)?,
            Err(error) => session.count_undecodable(&error),
        }
    }
    Ok(())
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

/// Nobody reading any more is no error.
fn tolerate_closed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
