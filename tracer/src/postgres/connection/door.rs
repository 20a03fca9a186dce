//! Connections to a target: how many the server has not closed, and room for more.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::postgres::connection::room::{Free, Room};
use crate::postgres::connection::socket::Twin;
use crate::postgres::connection::target::Target;

/// How long a server may take to close a connection that was ended from here.
const CLOSING: Duration = Duration::from_secs(10);
/// The same at the end, where it has not answered the login: it has no session there, and
/// ends what it has of the connection by itself.
const UNANSWERED: Duration = Duration::from_millis(500);

/// A target, the connections to it that the server has not closed yet, and the room
/// there is for more.
#[derive(Debug)]
pub(crate) struct Door {
    /// Which servers, as whom.
    pub(crate) target: Target,
    inside: watch::Sender<Inside>,
    room: watch::Sender<Option<Room>>,
}

/// Connections that the server has not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Inside {
    /// On which it has answered the login.
    pub(crate) sessions: usize,
    /// On which it has not.
    pub(crate) logins: usize,
    /// Sessions that are not waited for any more.
    pub(crate) given_up: usize,
}

/// One connection, from the first byte until the server has closed its end: a process
/// of PostgreSQL's does that when it is gone, and its entry in `pg_stat_activity` with it.
#[derive(Debug)]
pub(super) struct Presence {
    /// `None` only while it is dropped.
    twin: Option<Twin>,
    inside: watch::Sender<Inside>,
    /// Whether the login was answered.
    admitted: bool,
}

impl Door {
    /// One through which nobody has gone.
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            inside: watch::Sender::new(Inside::default()),
            room: watch::Sender::new(None),
        }
    }

    /// How many connections the server has not closed.
    pub(crate) fn inside(&self) -> usize {
        let Inside {
            sessions,
            logins,
            given_up,
        } = *self.inside.borrow();
        sessions + logins + given_up
    }

    /// What a server said of its connections, and over whose; `ours` among them are not
    /// somebody else's.
    pub(crate) fn measured(&self, free: Free, ours: usize, own: bool) {
        self.room.send_replace(Some(match own {
            true => Room::of(free, ours.min(self.inside())),
            false => Room::Lent,
        }));
    }

    /// The room there was when it was last measured; waits until it has been.
    pub(crate) async fn room(&self) -> Room {
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
    pub(crate) fn last_room(&self) -> Option<Room> {
        *self.room.borrow()
    }

    pub(super) fn enter(&self, twin: Twin) -> Presence {
        self.inside.send_modify(|count| count.logins += 1);
        Presence {
            twin: Some(twin),
            inside: self.inside.clone(),
            admitted: false,
        }
    }

    /// Waits until the server has closed all connections, for a while; returns those that
    /// it has not closed by then.
    pub(crate) async fn all_out(&self, limit: Duration) -> Inside {
        let none = |limit, none: fn(&Inside) -> bool| {
            let mut inside = self.inside.subscribe();
            async move {
                let _ = timeout(limit, inside.wait_for(none)).await;
            }
        };
        tokio::join!(
            none(limit, |inside| inside.sessions == 0),
            none(limit.min(UNANSWERED), |inside| inside.logins == 0),
        );
        *self.inside.borrow()
    }
}

impl Presence {
    /// The login was answered: there is a session.
    pub(super) fn admit(&mut self) {
        self.admitted = true;
        self.inside.send_modify(|count| {
            count.logins = count.logins.saturating_sub(1);
            count.sessions += 1;
        });
    }

    /// Tells the server that nothing more comes, and waits until it has closed its end,
    /// for a while.
    pub(super) async fn end(mut self) {
        if let Some(twin) = self.twin.take() {
            end(twin, self.inside.clone(), self.admitted).await;
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let (Some(twin), Ok(handle)) = (self.twin.take(), tokio::runtime::Handle::try_current())
        {
            handle.spawn(end(twin, self.inside.clone(), self.admitted));
        }
    }
}

async fn end(twin: Twin, inside: watch::Sender<Inside>, admitted: bool) {
    let closed = timeout(CLOSING, twin.closed()).await == Ok(true);
    inside.send_modify(|count| {
        let which = match admitted {
            true => &mut count.sessions,
            false => &mut count.logins,
        };
        *which = which.saturating_sub(1);
        if admitted && !closed {
            count.given_up += 1;
        }
    });
}
