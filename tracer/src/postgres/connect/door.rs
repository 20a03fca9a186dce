//! The way in, and how many of those who went in are not out again.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::super::room::{Free, Room};
use super::super::target::Target;
use super::socket::Twin;

/// How long a server may take to close a connection of which it was told the end.
const CLOSING: Duration = Duration::from_secs(10);

/// A target, the connections to it that the server has not closed yet, and the room
/// there is for more.
#[derive(Debug)]
pub struct Door {
    /// Which servers, as whom.
    pub target: Target,
    inside: watch::Sender<usize>,
    room: watch::Sender<Option<Room>>,
}

/// One connection, from the first byte until the server has closed its end: a process
/// of PostgreSQL's does that when it is gone, and its entry in `pg_stat_activity` with it.
#[derive(Debug)]
pub(super) struct Presence {
    /// `None` only while it is dropped.
    twin: Option<Twin>,
    inside: watch::Sender<usize>,
}

impl Door {
    /// One through which nobody has gone.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            target,
            inside: watch::Sender::new(0),
            room: watch::Sender::new(None),
        }
    }

    /// How many connections the server has not closed.
    #[must_use]
    pub fn inside(&self) -> usize {
        *self.inside.borrow()
    }

    /// What a server said of its connections, and over whose; `ours` among them are not
    /// somebody else's.
    pub fn measured(&self, free: Free, ours: usize, own: bool) {
        self.room.send_replace(Some(match own {
            true => Room::of(free, ours.min(self.inside())),
            false => Room::Lent,
        }));
    }

    /// The room there was when it was last measured; waits until it has been.
    pub async fn room(&self) -> Room {
        loop {
            let mut room = self.room.subscribe();
            // Its sender lives as long as this.
            if let Ok(room) = room.wait_for(Option::is_some).await
                && let Some(room) = *room
            {
                return room;
            }
        }
    }

    /// The same without waiting.
    #[must_use]
    pub fn last_room(&self) -> Option<Room> {
        *self.room.borrow()
    }

    pub(super) fn enter(&self, twin: Twin) -> Presence {
        self.inside.send_modify(|count| *count += 1);
        Presence {
            twin: Some(twin),
            inside: self.inside.clone(),
        }
    }

    /// Waits until the server has closed all connections, for a while; returns how many
    /// it has not closed by then.
    pub async fn all_out(&self, limit: Duration) -> usize {
        let mut inside = self.inside.subscribe();
        let _ = timeout(limit, inside.wait_for(|count| *count == 0)).await;
        self.inside()
    }
}

impl Presence {
    /// Tells the server that nothing more comes, and waits until it has closed its end,
    /// for a while.
    pub(super) async fn end(mut self) {
        if let Some(twin) = self.twin.take() {
            end(twin, self.inside.clone()).await;
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let (Some(twin), Ok(handle)) = (self.twin.take(), tokio::runtime::Handle::try_current())
        {
            handle.spawn(end(twin, self.inside.clone()));
        }
    }
}

async fn end(twin: Twin, inside: watch::Sender<usize>) {
    if timeout(CLOSING, twin.closed()).await == Ok(true) {
        inside.send_modify(|count| *count = count.saturating_sub(1));
    }
}
