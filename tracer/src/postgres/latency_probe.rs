//! The commit probe: one small commit after the other at a fixed rate, and reads
//! as often, which wait for nobody.
//!
//! The loop is open: a request is due at its time whatever became of those before,
//! and its latency counts from then. Each commit under way needs a connection of its
//! own; when all are held up, what is due is counted as not started.

mod connection_pool;
mod lane;
pub(crate) mod pace;
mod surplus;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracer_core::recording::latency::LatencyWindow;
use tracer_core::recording::probe::Allowance;
use tracer_core::spread::Spread;

use crate::kernel::clock::now_ns;
use crate::postgres::answer_row::AnswerRow;
use crate::postgres::connection::bounds::Bounds;
use crate::postgres::connection::room::{MAX_COMMITS, MAX_READS, Room};
use crate::postgres::connection::{ConnectError, Connection, Door};
use crate::postgres::latency_probe::connection_pool::ConnectionPool;
use crate::postgres::latency_probe::lane::Sort;
use crate::postgres::latency_probe::pace::PaceTimer;
use tracer_core::recording::probe::{Outcome, Plan};

/// What is committed: a message in the WAL and nothing else, under a prefix by which
/// those who decode the WAL may know it. It takes a transaction id, so that its commit
/// is written, flushed and waited for like any other, at every `wal_level`, and no
/// table, row or replica is touched: subscriptions are not sent messages.
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/replication/logical/message.c>,
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/access/transam/xact.c>
/// (`RecordTransactionCommit`)
const WRITE: &str = "\
select pg_catalog.set_config('application_name', 'tracer', true),
  pg_catalog.pg_logical_emit_message(true, 'tracer_probe', ''::pg_catalog.text)";
/// One row of a real table by its key, as an application reads it.
const READ: &str = "\
select pg_catalog.set_config('application_name', 'tracer', true), c.relname
  from pg_catalog.pg_class as c
  where c.oid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass";
/// Whether that can be.
const ABLE: &str = "\
select pg_is_in_recovery(), bool_and(has_function_privilege(oid, 'execute'))
  from pg_proc where proname = 'pg_logical_emit_message'
  and pronamespace = 'pg_catalog'::regnamespace";

/// How long finding out may take.
const ASKING: Duration = Duration::from_secs(5);
/// Between attempts.
const PAUSE: Duration = Duration::from_secs(2);
/// What is under way at the end has this long to be answered.
const GRACE: Duration = Duration::from_secs(1);

/// What the probe's tasks have in common.
#[derive(Debug)]
pub(crate) struct ProbeState {
    commits: Mutex<LatencyWindow>,
    reads: Mutex<LatencyWindow>,
    begun_ns: Mutex<Option<u64>>,
    most: Mutex<Allowance>,
    warnings: Mutex<Vec<String>>,
    /// The fewest requests that could be under way at once, and why no more.
    limited: Mutex<Option<(usize, String)>>,
    tasks: Mutex<JoinSet<()>>,
}

/// What was measured so far.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Probed {
    /// Latencies of commits.
    pub(crate) commits: Spread,
    /// Of reads.
    pub(crate) reads: Spread,
    /// Commits that failed, and that could not be started.
    pub(crate) undone: (u64, u64),
    /// How long the oldest commit under way has been due, s; 0 if none is, `None` while
    /// none was begun.
    pub(crate) oldest_s: Option<f64>,
}

/// Nothing here is left half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A probe.
#[derive(Debug)]
pub(crate) struct LatencyProbe {
    plan: Plan,
    door: Arc<Door>,
    every: Duration,
    shared: Arc<ProbeState>,
}

impl ProbeState {
    pub(self) fn tally(&self, sort: Sort) -> MutexGuard<'_, LatencyWindow> {
        match sort {
            Sort::Commit => lock(&self.commits),
            Sort::Read => lock(&self.reads),
        }
    }

    /// What was measured so far.
    pub(crate) fn probed(&self) -> Probed {
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
    pub(crate) fn line(&self) -> Option<String> {
        let warning = lock(&self.warnings).first().cloned();
        let (commits, reads) = (lock(&self.commits), lock(&self.reads));
        match (commits.last(), reads.last()) {
            (Some(commits), Some(reads)) => {
                Some(tracer_core::render::latency_probe::line(commits, reads))
            }
            _ => warning,
        }
    }
}

impl LatencyProbe {
    /// Prepares one; `None` if there is no memory for it.
    pub(crate) fn new(plan: Plan, door: Arc<Door>, every: Duration) -> Option<Self> {
        Some(Self {
            plan,
            door,
            every,
            shared: Arc::new(ProbeState {
                commits: Mutex::new(LatencyWindow::new()?),
                reads: Mutex::new(LatencyWindow::new()?),
                begun_ns: Mutex::new(None),
                most: Mutex::new(Allowance::default()),
                warnings: Mutex::new(Vec::new()),
                limited: Mutex::new(None),
                tasks: Mutex::new(JoinSet::new()),
            }),
        })
    }

    /// What its tasks know, for the live view.
    pub(crate) fn shared(&self) -> Arc<ProbeState> {
        Arc::clone(&self.shared)
    }

    /// Commits and reads, as soon as that can be and until dropped.
    pub(crate) async fn run(&self) {
        let allowance = self.prepare().await;
        let connection_pool =
            |sort, sql, most| ConnectionPool::start(sort, sql, most, &self.door, &self.shared);
        let mut commits = connection_pool(Sort::Commit, WRITE, allowance.commits);
        let mut reads = connection_pool(Sort::Read, READ, allowance.reads);
        commits.ready().await;
        reads.ready().await;
        let begun_ns = now_ns();
        *lock(&self.shared.begun_ns) = Some(begun_ns);
        // Half an interval apart, so that neither is behind the other.
        let half_ns = self.plan.rate.due_ns(1) / 2;
        tokio::join!(
            self.send(&mut commits, begun_ns, |allowance| allowance.commits),
            self.send(&mut reads, begun_ns + half_ns, |allowance| allowance.reads),
            self.close_intervals(),
        );
    }

    /// Waits until the server takes commits and has room for them.
    async fn prepare(&self) -> Allowance {
        loop {
            // Not by a connection of its own: it might be the last.
            let room = self.door.room().await;
            let allowance = self.allowance();
            if allowance == Allowance::default() {
                self.warn(format!(
                    "the commit probe waits for room: {}",
                    room.reason()
                ));
            } else {
                match self.able().await {
                    Ok(()) => return allowance,
                    Err(trouble) => {
                        self.warn(format!("the commit probe cannot commit: {}", trouble.text));
                    }
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// How many requests of each sort may be under way at this moment.
    fn allowance(&self) -> Allowance {
        let allowance = self
            .door
            .last_room()
            .map(Room::allowance)
            .unwrap_or_default();
        let mut most = lock(&self.shared.most);
        most.commits = most.commits.max(allowance.commits);
        most.reads = most.reads.max(allowance.reads);
        allowance
    }

    async fn send(
        &self,
        connection_pool: &mut ConnectionPool,
        begun_ns: u64,
        of: fn(Allowance) -> usize,
    ) {
        let mut alarm = match PaceTimer::new() {
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
            connection_pool.allow(of(self.allowance()));
            if !connection_pool.send(number, due_ns) {
                self.note_limit();
            }
        }
    }

    /// A request could not be started: notes it, if that was for want of connections which
    /// the probe leaves to others.
    fn note_limit(&self) {
        let Some(room) = self.door.last_room() else {
            return;
        };
        let Allowance { commits, reads } = room.allowance();
        if (commits, reads) == (MAX_COMMITS, MAX_READS) {
            return;
        }
        let mut limited = lock(&self.shared.limited);
        if limited
            .as_ref()
            .is_none_or(|(all, _)| commits + reads < *all)
        {
            let text = format!(
                "the commit probe had room for no more than {commits} commits and {reads} reads \
                 at a time, and did not start what was due beyond: {}",
                room.reason()
            );
            *limited = Some((commits + reads, text));
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

    /// Whether the server takes commits from us.
    async fn able(&self) -> Result<(), ConnectError> {
        let link = Connection::open(&self.door, ASKING).await?;
        let answer = link.read(Bounds::default(), ABLE).await?;
        let row = AnswerRow::first(&answer);
        if row.is_true(0) {
            return Err(ConnectError::permanent(
                "the server is a standby, which takes none",
            ));
        }
        if !row.is_true(1) {
            return Err(ConnectError::permanent(
                "permission denied for pg_logical_emit_message: the role needs EXECUTE on it",
            ));
        }
        Ok(())
    }

    fn warn(&self, warning: String) {
        let mut warnings = lock(&self.shared.warnings);
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// Waits for the last answers, for a while, and gives up what is under way then.
    pub(crate) async fn finish(self) -> Outcome {
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
        lock(&self.shared.tasks).abort_all();
        let mut warnings = lock(&self.shared.warnings).clone();
        warnings.extend(lock(&self.shared.limited).take().map(|(_, text)| text));
        Outcome {
            plan: self.plan,
            begun_ns: *lock(&self.shared.begun_ns),
            most: *lock(&self.shared.most),
            commits,
            reads,
            warnings,
        }
    }
}
