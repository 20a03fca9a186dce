//! All connections of the probe for one sort of requests: as many as are needed, and no
//! more than may be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::kernel::clock::now_ns;
use crate::postgres::connection::Door;
use crate::postgres::latency_probe::lane::{Lane, ProbeRequest, Sort};
use crate::postgres::latency_probe::surplus::Surplus;
use crate::postgres::latency_probe::{ProbeState, lock};

/// Connections to begin with, and how many are kept free while there may be more.
const FIRST: usize = 4;
const SPARE: usize = 2;
/// How long the beginning waits for connections.
const CONNECTING: Duration = Duration::from_secs(5);

/// They end when dropped.
#[derive(Debug)]
pub(super) struct ConnectionPool {
    sort: Sort,
    sql: &'static str,
    most: usize,
    door: Arc<Door>,
    shared: Arc<ProbeState>,
    /// By number; the oldest first.
    connection_pool: BTreeMap<u64, LaneHandle>,
    next: u64,
    report: mpsc::UnboundedSender<u64>,
    idle: mpsc::UnboundedReceiver<u64>,
    /// The one that was used last is last.
    waiting: Vec<u64>,
    surplus: Surplus,
}

/// The hold on one connection's task.
#[derive(Debug)]
struct LaneHandle {
    orders: mpsc::Sender<ProbeRequest>,
    call_back: oneshot::Sender<()>,
}

impl ConnectionPool {
    /// Begins to connect; `most` is how many there may become.
    pub(super) fn start(
        sort: Sort,
        sql: &'static str,
        most: usize,
        door: &Arc<Door>,
        shared: &Arc<ProbeState>,
    ) -> Self {
        let (report, idle) = mpsc::unbounded_channel();
        let mut connection_pool = Self {
            sort,
            sql,
            most,
            door: Arc::clone(door),
            shared: Arc::clone(shared),
            connection_pool: BTreeMap::new(),
            next: 0,
            report,
            idle,
            waiting: Vec::new(),
            surplus: Surplus::new(now_ns()),
        };
        for _ in 0..FIRST.min(most) {
            connection_pool.add();
        }
        connection_pool
    }

    fn add(&mut self) {
        let (sender, orders) = mpsc::channel(1);
        let (call_back, called_back) = oneshot::channel();
        let lane = Lane {
            sort: self.sort,
            sql: self.sql,
            index: self.next,
            door: Arc::clone(&self.door),
            shared: Arc::clone(&self.shared),
            orders,
            idle: self.report.clone(),
        };
        let handle = LaneHandle {
            orders: sender,
            call_back,
        };
        self.connection_pool.insert(self.next, handle);
        self.next += 1;
        let mut tasks = lock(&self.shared.tasks);
        // Those that have ended.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(lane.run(called_back));
    }

    /// Waits until the first are connected, for a while.
    pub(super) async fn ready(&mut self) {
        let all = async {
            while self.waiting.len() < self.connection_pool.len() {
                match self.idle.recv().await {
                    Some(lane) => self.waiting.push(lane),
                    None => return,
                }
            }
        };
        let _ = tokio::time::timeout(CONNECTING, all).await;
    }

    /// How many there may be from now on. What is too much is given back: first what is
    /// idle, then what waits, of which the oldest request shows the most.
    pub(super) fn allow(&mut self, most: usize) {
        self.most = most;
        if self.connection_pool.len() <= most {
            return;
        }
        self.hear();
        while self.connection_pool.len() > most {
            let idle = self.waiting.pop();
            let lane = match idle {
                Some(lane) => self.connection_pool.remove(&lane),
                None => self.connection_pool.pop_last().map(|(_, lane)| lane),
            };
            if let Some(lane) = lane {
                // One that has ended hears nothing.
                let _ = lane.call_back.send(());
            }
        }
    }

    /// Learns who waits for an order.
    fn hear(&mut self) {
        while let Ok(lane) = self.idle.try_recv() {
            if self.connection_pool.contains_key(&lane) {
                self.waiting.push(lane);
            }
        }
    }

    /// Ends connections that nobody needed for long, beyond those that are always kept:
    /// what was opened while commits hung is the server's again.
    fn give_back(&mut self) {
        let idle = self.waiting.len();
        let unused = self.surplus.look(idle, now_ns()).saturating_sub(SPARE);
        let beyond = self.connection_pool.len().saturating_sub(FIRST);
        for lane in self.waiting.drain(..unused.min(beyond).min(idle)) {
            if let Some(lane) = self.connection_pool.remove(&lane) {
                // One that has ended hears nothing.
                let _ = lane.call_back.send(());
            }
        }
    }

    /// Hands a request that is due to a connection that is free; false if as many as may
    /// be are busy, so that it is not started.
    pub(super) fn send(&mut self, number: u64, due_ns: u64) -> bool {
        self.hear();
        let order = ProbeRequest { number, due_ns };
        let connection_pool = &self.connection_pool;
        // The one that was used last is the warmest.
        let sent = std::iter::from_fn(|| self.waiting.pop()).any(|lane| {
            let lane = connection_pool.get(&lane);
            lane.is_some_and(|lane| lane.orders.try_send(order).is_ok())
        });
        let mut tally = self.shared.tally(self.sort);
        match sent {
            true => tally.start(number, due_ns, now_ns()),
            false => tally.skip(),
        }
        drop(tally);
        self.give_back();
        // Connecting is no part of a commit: the next one is there before it is
        // needed, and none is made for a server that answers.
        if self.waiting.len() < SPARE && self.connection_pool.len() < self.most {
            self.add();
            return true;
        }
        sent
    }
}
