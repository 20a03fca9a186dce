//! A load on a database: requests at a fixed rate, whatever the answers do, or
//! users who each wait for an answer.

pub(crate) mod clients;
pub(crate) mod phase;
pub(crate) mod record;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};

use crate::testbed::netns::Netns;
use crate::testbed::postgres::{Connection, Cutter};
use crate::testbed::wait;

/// Longer than any answer that the lab's faults delay.
const ANSWER: Duration = Duration::from_secs(120);

/// How long a connection may take to be made.
const CONNECTING: Duration = Duration::from_secs(10);

/// A single-row insert, which a commit follows.
pub const WRITE: &str = "insert into lab (note) values ('load')";

/// In a plan's SQL, what each request has its own number for, from 0 on.
pub(crate) const NUMBER: &str = "{number}";

/// A read that touches the table and no other server.
pub const READ: &str = "select id, note from lab order by id desc limit 1";

/// When requests are due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Open loop: at fixed times, so many a second. A slow answer holds up one
    /// connection, not the schedule; when all connections are busy, requests
    /// go out late, and their latency counts from when they were due. Otherwise
    /// the worst moments would be the ones that are measured least.
    Open {
        /// Requests a second.
        rate: f64,
    },
    /// Closed loop: every connection is a user, who thinks after each answer, and
    /// asks again. A slow answer makes fewer requests.
    Closed {
        /// How long, after a failure too.
        think: Duration,
    },
}

/// What to ask, how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The SQL of one request; it may hold [`NUMBER`].
    pub sql: String,
    /// When requests are due.
    pub pace: Pace,
    /// How many may wait for their answers at the same time.
    pub connections: u32,
}

impl Plan {
    pub(crate) fn open(sql: &str, rate: f64, connections: u32) -> Self {
        Self {
            sql: sql.to_owned(),
            pace: Pace::Open { rate },
            connections,
        }
    }
}

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Which of the load's it was.
    pub(crate) number: u32,
    /// When it was due.
    pub due: SystemTime,
    /// How much later it was sent, because every connection was busy.
    pub(crate) late: Duration,
    /// From when it was due to its answer, or to its failure.
    pub(crate) latency: Duration,
    /// What went wrong, if it did.
    pub error: Option<String>,
}

/// A running load. Dropping it abandons the requests in flight.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<Result<Vec<Request>>>>,
    cutters: Vec<Arc<Slot>>,
}

/// How to cut a worker's connection, while it has one.
type Slot = Mutex<Option<Cutter>>;

/// What the workers have in common.
#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    plan: Plan,
    /// The same moment on both clocks.
    begun: Instant,
    begun_at: SystemTime,
    next: AtomicU32,
    failed: AtomicU32,
    stopping: Mutex<bool>,
    stopped: Condvar,
}

impl Load {
    /// Opens all connections from inside the namespace, then begins. A
    /// connection that fails later is made anew for the next request.
    ///
    /// # Errors
    /// When the server does not take the connections.
    pub fn start(from: &Netns, server: SocketAddr, plan: Plan) -> Result<Self> {
        let connections = from
            .enter(|| {
                (0..plan.connections)
                    .map(|_| connect(server))
                    .collect::<Result<Vec<_>>>()
            })
            .context("cannot connect the load")?;
        let mut load = Self {
            shared: Arc::new(Shared {
                server,
                plan,
                begun: Instant::now(),
                begun_at: SystemTime::now(),
                next: AtomicU32::new(0),
                failed: AtomicU32::new(0),
                stopping: Mutex::new(false),
                stopped: Condvar::new(),
            }),
            workers: Vec::new(),
            cutters: Vec::new(),
        };
        for connection in connections {
            let slot = Arc::new(Mutex::new(Some(connection.cutter()?)));
            load.cutters.push(Arc::clone(&slot));
            let shared = Arc::clone(&load.shared);
            load.workers
                .push(from.spawn(move || shared.work(connection, &slot))?);
        }
        Ok(load)
    }

    /// How many requests have failed so far.
    pub fn failed(&self) -> u32 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Sends nothing more, gives the requests in flight that long for their
    /// answers, and returns all requests in the order in which they were due.
    pub fn stop(mut self, grace: Duration) -> Vec<Request> {
        self.shared.stop();
        // Neither the deadline nor an interrupt is a failure: what is in flight
        // then gets cut, and its record says so.
        let _ = wait::until(grace, "the last answers", || {
            Ok(self
                .workers
                .iter()
                .all(JoinHandle::is_finished)
                .then_some(()))
        });
        self.finish()
    }

    fn finish(&mut self) -> Vec<Request> {
        self.shared.stop();
        for slot in &self.cutters {
            if let Some(cutter) = lock(slot).as_ref() {
                cutter.cut();
            }
        }
        let mut requests: Vec<Request> = self
            .workers
            .drain(..)
            .filter_map(|worker| worker.join().ok()?.ok())
            .flatten()
            .collect();
        requests.sort_by_key(|request| request.due);
        requests
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.finish();
    }
}

fn connect(server: SocketAddr) -> Result<Connection> {
    let mut connection = Connection::tcp(server, "load", CONNECTING)?;
    connection.set_limit(ANSWER);
    Ok(connection)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these guard is whole at any time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn work(&self, connection: Connection, slot: &Slot) -> Vec<Request> {
        let mut connection = Some(connection);
        let mut requests = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let due = self.due(number);
            if !self.sleep_until(self.begun + due) {
                return requests;
            }
            let late = self.begun.elapsed().saturating_sub(due);
            let outcome = self.ask(number, connection.take(), slot);
            let latency = self.begun.elapsed().saturating_sub(due);
            let (kept, error) = match outcome {
                Ok(connection) => (Some(connection), None),
                Err(error) => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    (None, Some(format!("{error:#}")))
                }
            };
            connection = kept;
            requests.push(Request {
                number,
                due: self.begun_at + due,
                late,
                latency,
                error,
            });
        }
    }

    /// When the request that is next for this worker is due, from the beginning.
    fn due(&self, number: u32) -> Duration {
        match self.plan.pace {
            Pace::Open { rate } => due(number, rate),
            Pace::Closed { think } => self.begun.elapsed() + think,
        }
    }

    /// One request. Hands back the connection only if it is still good.
    fn ask(&self, number: u32, connection: Option<Connection>, slot: &Slot) -> Result<Connection> {
        let mut connection = match connection {
            Some(connection) => connection,
            None => {
                let connection = connect(self.server)?;
                *lock(slot) = Some(connection.cutter()?);
                // Whoever stopped us meanwhile could not cut this one yet.
                ensure!(!*lock(&self.stopping), "the load was stopped");
                connection
            }
        };
        connection.query(&numbered(&self.plan.sql, number))?;
        Ok(connection)
    }

    /// False when the load is being stopped.
    fn sleep_until(&self, moment: Instant) -> bool {
        let mut stopping = lock(&self.stopping);
        loop {
            let left = moment.saturating_duration_since(Instant::now());
            if *stopping || left.is_zero() {
                return !*stopping;
            }
            let woken = self.stopped.wait_timeout(stopping, left);
            stopping = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn stop(&self) {
        *lock(&self.stopping) = true;
        self.stopped.notify_all();
    }
}

fn numbered(sql: &str, number: u32) -> String {
    sql.replace(NUMBER, &number.to_string())
}

/// When the request of this number is due, from the beginning.
fn due(number: u32, rate: f64) -> Duration {
    Duration::from_secs_f64(f64::from(number) / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_the_rate() {
        assert_eq!(due(0, 10.0), Duration::ZERO);
        assert_eq!(due(25, 10.0), Duration::from_millis(2500));
    }

    #[test]
    fn a_request_may_say_which_it_is() {
        assert_eq!(numbered("values ('a {number}')", 7), "values ('a 7')");
        assert_eq!(numbered(READ, 7), READ);
    }
}
