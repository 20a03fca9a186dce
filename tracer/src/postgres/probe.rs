//! The commit probe: one small commit after the other at a fixed rate, and reads
//! beside them, which wait for nobody.
//!
//! The loop is open: a request is due at its time whatever became of those before,
//! and its latency counts from then. Each commit under way needs a connection of its
//! own; when all are held up, what is due is counted as not started.

mod lane;
pub mod pace;
pub mod report;
pub mod tally;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use self::lane::{Lanes, Sort};
use self::pace::{Alarm, Rate};
use self::tally::{Tally, Total};
use super::connect::{Link, Trouble};
use super::target::Target;
use crate::clock::now_ns;
use crate::metrics::Spread;

/// The table, in a schema of its own.
pub const TABLE: &str = "tracer_probe.commits";
const FIND: &str = "\
set search_path = pg_catalog;
select 1 from pg_tables where schemaname = 'tracer_probe' and tablename = 'commits'";
const CREATE: &str = "\
create schema if not exists tracer_probe;
create table if not exists tracer_probe.commits (
  id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp())";
const DROP: &str = "\
set search_path = pg_catalog;
drop table if exists tracer_probe.commits;
drop schema if exists tracer_probe";
const WRITE: &str = "insert into tracer_probe.commits default values";
const READ: &str = "select id, at from tracer_probe.commits order by id desc limit 1";

/// How long making or dropping the table may take; both are commits, too.
const TABLE_LIMIT: Duration = Duration::from_secs(5);
/// Between attempts to make it.
const PAUSE: Duration = Duration::from_secs(2);
/// What is under way at the end has this long to be answered.
const GRACE: Duration = Duration::from_secs(1);
/// Commits and reads that may be under way at once.
const MOST_COMMITS: usize = 32;
const MOST_READS: usize = 8;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Commits a second, and as many reads.
    pub rate: Rate,
    /// Whether the table is dropped afterwards.
    pub cleanup: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What was asked for.
    pub plan: Plan,
    /// When the first commit was due, ns of `CLOCK_MONOTONIC`; `None` if the table
    /// could not be made.
    pub begun_ns: Option<u64>,
    /// Commits.
    pub commits: Total,
    /// Reads.
    pub reads: Total,
    /// Whether the table is gone; `None` if it was to stay.
    pub removed: Option<bool>,
    /// What to know.
    pub warnings: Vec<String>,
}

/// What the probe's tasks have in common.
#[derive(Debug)]
pub struct Shared {
    commits: Mutex<Tally>,
    reads: Mutex<Tally>,
    begun_ns: Mutex<Option<u64>>,
    warnings: Mutex<Vec<String>>,
}

/// What was measured so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Probed {
    /// Latencies of commits.
    pub commits: Spread,
    /// Of reads.
    pub reads: Spread,
    /// Commits that failed, and that could not be started.
    pub undone: (u64, u64),
    /// How long the oldest commit under way has been due, s; 0 if none is, `None` while
    /// none was begun.
    pub oldest_s: Option<f64>,
}

/// Nothing here is left half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A probe.
#[derive(Debug)]
pub struct Probe {
    plan: Plan,
    target: Arc<Target>,
    every: Duration,
    shared: Arc<Shared>,
}

impl Shared {
    pub(self) fn tally(&self, sort: Sort) -> MutexGuard<'_, Tally> {
        match sort {
            Sort::Commit => lock(&self.commits),
            Sort::Read => lock(&self.reads),
        }
    }

    /// What was measured so far.
    #[must_use]
    pub fn probed(&self) -> Probed {
        let begun = lock(&self.begun_ns).is_some();
        let reads = lock(&self.reads).spread();
        let commits = lock(&self.commits);
        Probed {
            commits: commits.spread(),
            reads,
            undone: commits.undone(),
            oldest_s: begun.then(|| commits.oldest_ms(now_ns()).unwrap_or(0.0) / 1e3),
        }
    }

    /// The last interval in one line; `None` before there is one.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        let warning = lock(&self.warnings).first().cloned();
        let (commits, reads) = (lock(&self.commits), lock(&self.reads));
        match (commits.last(), reads.last()) {
            (Some(commits), Some(reads)) => Some(report::line(commits, reads)),
            _ => warning,
        }
    }
}

impl Probe {
    /// Prepares one; `None` if there is no memory for it.
    #[must_use]
    pub fn new(plan: Plan, target: Arc<Target>, every: Duration) -> Option<Self> {
        Some(Self {
            plan,
            target,
            every,
            shared: Arc::new(Shared {
                commits: Mutex::new(Tally::new()?),
                reads: Mutex::new(Tally::new()?),
                begun_ns: Mutex::new(None),
                warnings: Mutex::new(Vec::new()),
            }),
        })
    }

    /// What its tasks know, for those who look on.
    #[must_use]
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Makes the table, then commits and reads until dropped.
    pub async fn run(&self) {
        while let Err(trouble) = self.prepare().await {
            self.warn(format!(
                "the commit probe cannot make its table {TABLE}: {}",
                trouble.text
            ));
            sleep(PAUSE).await;
        }
        let lanes = |sort, sql, count| Lanes::start(sort, sql, count, &self.target, &self.shared);
        let mut commits = lanes(Sort::Commit, WRITE, MOST_COMMITS);
        let mut reads = lanes(Sort::Read, READ, MOST_READS);
        commits.ready().await;
        reads.ready().await;
        let begun_ns = now_ns();
        *lock(&self.shared.begun_ns) = Some(begun_ns);
        // Half an interval apart, so that neither is behind the other.
        let half_ns = self.plan.rate.due_ns(1) / 2;
        tokio::join!(
            self.send(&mut commits, begun_ns),
            self.send(&mut reads, begun_ns + half_ns),
            self.close_intervals(),
        );
    }

    async fn send(&self, lanes: &mut Lanes, begun_ns: u64) {
        let mut alarm = match Alarm::new() {
            Ok(alarm) => alarm,
            Err(error) => {
                self.warn(format!("the commit probe has no timer: {error}"));
                return;
            }
        };
        for number in 0.. {
            let due_ns = begun_ns + self.plan.rate.due_ns(number);
            if let Err(error) = alarm.at(due_ns).await {
                self.warn(format!("the commit probe's timer failed: {error}"));
                return;
            }
            lanes.send(number, due_ns);
        }
    }

    async fn close_intervals(&self) {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let at_ns = now_ns();
            lock(&self.shared.commits).tick(at_ns);
            lock(&self.shared.reads).tick(at_ns);
        }
    }

    /// Makes the table, unless somebody has made it for us.
    async fn prepare(&self) -> Result<(), Trouble> {
        let link = Link::open(&self.target, TABLE_LIMIT).await?;
        let found = link.ask(FIND).await?;
        if found.first().is_none_or(Vec::is_empty) {
            link.ask(CREATE).await?;
        }
        link.close().await;
        Ok(())
    }

    async fn drop_table(&self) -> Result<(), Trouble> {
        let link = Link::open(&self.target, TABLE_LIMIT).await?;
        link.ask(DROP).await?;
        link.close().await;
        Ok(())
    }

    fn warn(&self, warning: String) {
        let mut warnings = lock(&self.shared.warnings);
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// Waits for the last answers, for a while, and tidies up if that was asked for.
    pub async fn finish(self) -> Outcome {
        let answered = async {
            while lock(&self.shared.commits).outstanding() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = timeout(GRACE, answered).await;
        let now = now_ns();
        let (commits, reads) = {
            let (mut commits, mut reads) = (lock(&self.shared.commits), lock(&self.shared.reads));
            commits.tick(now);
            reads.tick(now);
            (commits.total(now), reads.total(now))
        };
        let removed = match self.plan.cleanup {
            false => None,
            true => Some(match self.drop_table().await {
                Ok(()) => true,
                Err(trouble) => {
                    self.warn(format!(
                        "the commit probe's table {TABLE} is left behind: {}; drop schema tracer_probe",
                        trouble.text
                    ));
                    false
                }
            }),
        };
        Outcome {
            plan: self.plan,
            begun_ns: *lock(&self.shared.begun_ns),
            commits,
            reads,
            removed,
            warnings: lock(&self.shared.warnings).clone(),
        }
    }
}
