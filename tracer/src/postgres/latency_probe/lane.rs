//! One connection of the probe, with one request under way at most.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::kernel::clock::now_ns;
use crate::postgres::connection::{Connection, Door};
use crate::postgres::latency_probe::ProbeState;

/// A request that takes longer has failed: longer than any recovery from loss.
const ANSWER: Duration = Duration::from_secs(120);
/// Between attempts to connect: doubled from the first up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// Why a request failed whose connection was wanted back.
const CALLED_BACK: &str = "given up, because the server had few connections left";

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// A commit of one message in the WAL.
    Commit,
    /// A read of one row.
    Read,
}

/// A request that is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProbeRequest {
    pub(super) number: u64,
    pub(super) due_ns: u64,
}

/// One connection's task.
pub(super) struct Lane {
    pub(super) sort: Sort,
    pub(super) sql: &'static str,
    pub(super) index: u64,
    pub(super) door: Arc<Door>,
    pub(super) shared: Arc<ProbeState>,
    pub(super) orders: mpsc::Receiver<ProbeRequest>,
    /// Where it says that it waits for an order.
    pub(super) idle: mpsc::UnboundedSender<u64>,
}

impl Lane {
    /// Connects and serves until nobody orders any more; or until it is called back,
    /// and then gives up what is under way.
    pub(super) async fn run(mut self, called_back: oneshot::Receiver<()>) {
        let called_back = async {
            // Where nobody is left who could call, what is under way goes on.
            if called_back.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let mut under_way = None;
        tokio::select! {
            () = self.work(&mut under_way) => {}
            () = called_back => {}
        }
        if let Some(ProbeRequest { number, due_ns }) = under_way {
            self.shared
                .tally(self.sort)
                .fail(number, due_ns, CALLED_BACK);
        }
    }

    async fn work(&mut self, under_way: &mut Option<ProbeRequest>) {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Ok(link) = Connection::open(&self.door, ANSWER).await {
                pause = FIRST_PAUSE;
                if !self.serve(link, under_way).await {
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

    /// Serves until the connection is lost (true) or nobody asks any more.
    async fn serve(&mut self, link: Connection, under_way: &mut Option<ProbeRequest>) -> bool {
        loop {
            if self.idle.send(self.index).is_err() {
                return false;
            }
            *under_way = self.orders.recv().await;
            let Some(ProbeRequest { number, due_ns }) = *under_way else {
                return false;
            };
            let answer = link.ask(self.sql).await;
            let now = now_ns();
            *under_way = None;
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
