//! Samples a server at every interval, over a connection of its own.

pub mod query;
pub(crate) mod statements;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracer_core::recording::database::DatabaseRecord;
use tracer_core::render::status::Status;
use tracer_core::report::sample::Sample;
use tracer_core::report::statements::Sums;

use crate::kernel::clock::now_ns;
use crate::kernel::descriptors::explained;
use crate::postgres::connection::bounds::Bounds;
use crate::postgres::connection::{ConnectError, Connection, Door};
use crate::postgres::sampler::statements::Source;

/// The longest to wait for an answer: longer than the server's own bound on a
/// statement.
const ANSWER: Duration = Duration::from_secs(10);
/// Between attempts to connect: doubled from the first up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// Where the server has refused us, trying often helps nobody.
const LASTING_PAUSE: Duration = Duration::from_secs(30);
/// Two samples further apart than this many intervals, and no less than a second,
/// have a gap between them.
const INTERVALS: u32 = 2;
const MIN_OUTAGE: Duration = Duration::from_secs(1);

/// Samples a server until dropped.
#[derive(Debug)]
pub(crate) struct Sampler<'a> {
    door: &'a Arc<Door>,
    every: Duration,
    record: &'a mut DatabaseRecord,
    status: &'a watch::Sender<Status>,
    /// Whether a failure is logged at once, and not only in the live view.
    logs: bool,
    last: Option<Last>,
}

/// What the next sample is compared with.
#[derive(Debug)]
struct Last {
    at_ns: u64,
    commits: Option<u64>,
    statements: Option<Sums>,
}

impl<'a> Sampler<'a> {
    /// Prepares to.
    pub(crate) fn new(
        door: &'a Arc<Door>,
        every: Duration,
        record: &'a mut DatabaseRecord,
        status: &'a watch::Sender<Status>,
        logs: bool,
    ) -> Self {
        Self {
            door,
            every,
            record,
            status,
            logs,
            last: None,
        }
    }

    /// Connects and samples, and does so again when the connection is lost. There
    /// is no last attempt: a server may come back at any time of a run.
    pub(crate) async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            let trouble = match self.greet().await {
                Ok((link, sees_all)) => self.follow(&link, sees_all).await,
                Err(trouble) => trouble,
            };
            self.note(&trouble);
            if trouble.permanent {
                sleep(LASTING_PAUSE).await;
                continue;
            }
            // What was lost after a while is tried at once.
            if begun.elapsed() > LAST_PAUSE {
                pause = FIRST_PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    async fn greet(&mut self) -> Result<(Connection, bool), ConnectError> {
        let link = Connection::open(self.door, ANSWER).await?;
        let answer = link.read(Bounds::default(), &query::greeting()).await?;
        let greeting = query::greeted(&answer)?;
        log::debug!(
            "connected to PostgreSQL {} as {}",
            greeting.version,
            tracer_core::text::name(&greeting.user)
        );
        let sees_all = greeting.sees_all;
        self.record.greeted(greeting);
        Ok((link, sees_all))
    }

    /// Samples until something goes wrong.
    async fn follow(&mut self, link: &Connection, sees_all: bool) -> ConnectError {
        let source = Source::find(link).await;
        let statement = query::sample(source.as_ref().ok());
        let bounds = Bounds {
            uncounted: source.as_ref().is_ok_and(Source::keeps_us_out),
        };
        self.record
            .counts_statements(source.map(|source| source.origin()));
        let mut ticks = interval(self.every);
        // A late sample is one sample, not several in a row.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let asked_ns = now_ns();
            let ours = self.door.inside();
            let answer = link.read(bounds, &statement).await;
            if let Some(free) = answer.as_ref().ok().and_then(|answer| query::free(answer)) {
                self.door.measured(free, ours, link.is_own());
            }
            let read = answer.and_then(|answer| query::read(&answer, sees_all));
            match read {
                Ok(sample) => self.take(sample, asked_ns),
                Err(trouble) => return trouble,
            }
        }
    }

    fn take(&mut self, mut sample: Sample, asked_ns: u64) {
        sample.at_ns = now_ns();
        sample.took_ms = (sample.at_ns - asked_ns) as f64 / 1e6;
        if let Some(last) = &self.last {
            let seconds = (sample.at_ns - last.at_ns) as f64 / 1e9;
            // Statistics that were reset, or are another server's, begin again.
            let commits = sample.xact_commit.zip(last.commits);
            let grown = commits.and_then(|(now, before)| now.checked_sub(before));
            sample.commits_per_s = grown.map(|grown| grown as f64 / seconds);
            let sums = sample.statement_sums.as_ref().zip(last.statements.as_ref());
            sample.statements = sums.and_then(|(now, before)| now.since(before, seconds));
        }
        self.last = Some(Last {
            at_ns: sample.at_ns,
            commits: sample.xact_commit,
            statements: sample.statement_sums.take(),
        });
        let longest = self.every.saturating_mul(INTERVALS).max(MIN_OUTAGE);
        let longest_ns = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        self.record.sampled(&sample, longest_ns);
        self.status.send_replace(Status::of(&sample, self.record));
    }

    fn note(&mut self, trouble: &ConnectError) {
        let news = self.record.failed(&trouble.text);
        if news && self.logs {
            log::warn!("PostgreSQL: {}", explained(trouble.text.clone()));
        }
        self.last = None;
        if let Some(gap) = self.record.current_gap() {
            self.status
                .send_replace(Status::lost(gap.start_ns, &trouble.text, self.record));
        }
    }
}
