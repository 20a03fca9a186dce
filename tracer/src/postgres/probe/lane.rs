//! Connections of the probe, each with one request under way at most.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Shared;
use crate::clock::now_ns;
use crate::postgres::connect::{Link, Trouble};
use crate::postgres::target::Target;

/// A request that takes longer has failed: longer than any recovery from loss.
const ANSWER: Duration = Duration::from_secs(120);
/// Between attempts to connect: doubled from the first up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// Connections to begin with, and how many are kept free while there may be more.
const FIRST: usize = 4;
const SPARE: usize = 2;
/// How long the beginning waits for connections.
const CONNECTING: Duration = Duration::from_secs(5);
/// The session of a probe. What bounds a statement is this side's deadline: the
/// server's would end the wait for a standby, and the commit be one all the same.
const SESSION: &str = "set search_path = pg_catalog; set statement_timeout = 0";

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// A commit of one row.
    Commit,
    /// A read of one row.
    Read,
}

/// A request that is due.
#[derive(Debug, Clone, Copy)]
struct Order {
    number: u64,
    due_ns: u64,
}

/// One connection's task.
struct Lane {
    sort: Sort,
    sql: &'static str,
    index: usize,
    target: Arc<Target>,
    shared: Arc<Shared>,
    orders: mpsc::Receiver<Order>,
    idle: mpsc::UnboundedSender<usize>,
}

/// All connections for one sort of requests. They end when dropped.
#[derive(Debug)]
pub(super) struct Lanes {
    sort: Sort,
    sql: &'static str,
    most: usize,
    target: Arc<Target>,
    shared: Arc<Shared>,
    orders: Vec<mpsc::Sender<Order>>,
    report: mpsc::UnboundedSender<usize>,
    idle: mpsc::UnboundedReceiver<usize>,
    waiting: Vec<usize>,
}

impl Lanes {
    /// Begins to connect; `most` is how many there may become.
    pub(super) fn start(
        sort: Sort,
        sql: &'static str,
        most: usize,
        target: &Arc<Target>,
        shared: &Arc<Shared>,
    ) -> Self {
        let (report, idle) = mpsc::unbounded_channel();
        let mut lanes = Self {
            sort,
            sql,
            most,
            target: Arc::clone(target),
            shared: Arc::clone(shared),
            orders: Vec::new(),
            report,
            idle,
            waiting: Vec::new(),
        };
        for _ in 0..FIRST.min(most) {
            lanes.add();
        }
        lanes
    }

    fn add(&mut self) {
        let (sender, orders) = mpsc::channel(1);
        let lane = Lane {
            sort: self.sort,
            sql: self.sql,
            index: self.orders.len(),
            target: Arc::clone(&self.target),
            shared: Arc::clone(&self.shared),
            orders,
            idle: self.report.clone(),
        };
        self.orders.push(sender);
        tokio::spawn(lane.run());
    }

    /// Waits until the first are connected, for a while.
    pub(super) async fn ready(&mut self) {
        let all = async {
            while self.waiting.len() < self.orders.len() {
                match self.idle.recv().await {
                    Some(lane) => self.waiting.push(lane),
                    None => return,
                }
            }
        };
        let _ = tokio::time::timeout(CONNECTING, all).await;
    }

    /// Hands a request that is due to a connection that is free.
    pub(super) fn send(&mut self, number: u64, due_ns: u64) {
        while let Ok(lane) = self.idle.try_recv() {
            self.waiting.push(lane);
        }
        let mut tally = self.shared.tally(self.sort);
        let order = Order { number, due_ns };
        let orders = &self.orders;
        // The one that was used last is the warmest.
        let sent = std::iter::from_fn(|| self.waiting.pop())
            .any(|lane| orders[lane].try_send(order).is_ok());
        match sent {
            true => tally.start(number, due_ns, now_ns()),
            false => tally.skip(),
        }
        drop(tally);
        // Connecting is no part of a commit: the next one is there before it is
        // needed, and none is made for a server that answers.
        if self.waiting.len() < SPARE && self.orders.len() < self.most {
            self.add();
        }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        // A request under way goes on, and is counted if it is answered in time;
        // the others say goodbye.
        self.orders.clear();
    }
}

impl Lane {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Ok(link) = self.connect().await {
                pause = FIRST_PAUSE;
                if !self.serve(link).await {
                    return;
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
            if self.orders.is_closed() {
                return;
            }
        }
    }

    async fn connect(&self) -> Result<Link, Trouble> {
        let link = Link::open(&self.target, ANSWER).await?;
        link.ask(SESSION).await?;
        Ok(link)
    }

    /// Serves until the connection is lost (true) or nobody asks any more.
    async fn serve(&mut self, link: Link) -> bool {
        loop {
            if self.idle.send(self.index).is_err() {
                link.close().await;
                return false;
            }
            let Some(Order { number, due_ns }) = self.orders.recv().await else {
                link.close().await;
                return false;
            };
            let answer = link.ask(self.sql).await;
            let now = now_ns();
            let mut tally = self.shared.tally(self.sort);
            match answer {
                Ok(_) => tally.answer(number, due_ns, now),
                Err(trouble) => {
                    tally.fail(number, due_ns, &trouble.text);
                    return true;
                }
            }
        }
    }
}
