//! A connection to a server: every wait in it has a deadline, every failure
//! is one line, and nothing of it is left when it ends.
//!
//! What answers may be a pooler, and the server's session then somebody else's as soon
//! as a transaction is over. So whatever is asked comes as one message of the simple
//! protocol: all of it is one transaction, which the server ends at the message's end
//! and undoes at an error, whether or not anybody is there to hear of it
//! ([`exec_simple_query`](https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/tcop/postgres.c)).
//! No setting, statement or transaction outlives it.

pub(crate) mod attempt;
pub(crate) mod bounds;
pub(crate) mod cancel;
pub(crate) mod door;
pub mod dsn;
pub(crate) mod farewell;
pub(crate) mod frames;
pub(crate) mod key;
pub(crate) mod metered;
pub mod passfile;
pub(crate) mod refusal;
pub(crate) mod room;
pub(crate) mod socket;
pub mod target;
pub(crate) mod tls;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::postgres::answer_row::AnswerRow;
use crate::postgres::connection::attempt::Via;
use crate::postgres::connection::bounds::Bounds;
use crate::postgres::connection::door::Presence;
use crate::postgres::connection::key::CancelRequest;
use crate::postgres::connection::refusal::described;
use crate::postgres::connection::target::{ServerPlace, Wants};

pub use crate::postgres::answer_row::Rows;
pub(crate) use crate::postgres::connection::door::{Door, Inside};

/// What our sessions call themselves, where they are ours.
pub(crate) const APPLICATION: &str = "tracer";
/// What decides whether a server will do.
const STATE: &str = "select pg_catalog.pg_is_in_recovery(), \
     pg_catalog.current_setting('transaction_read_only')";

/// Why there is no connection, or no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectError {
    /// One line.
    pub(crate) text: String,
    /// Whether trying again soon is of no use.
    pub(crate) permanent: bool,
}

/// A connection. It ends when dropped: what is under way may still be answered for a
/// moment and is then cancelled.
#[derive(Debug)]
pub(crate) struct Connection {
    /// `None` only while it is dropped.
    parts: Option<Parts>,
    own: bool,
    /// Whether an answer is awaited; still so where nobody waits for it any more.
    busy: AtomicBool,
    /// The longest to wait for an answer.
    pub(crate) limit: Duration,
}

/// What a connection consists of.
#[derive(Debug)]
struct Parts {
    client: Client,
    transfer: JoinHandle<()>,
    presence: Presence,
    via: Via,
    /// `None` until it is known.
    key: Option<CancelRequest>,
    door: Arc<Door>,
    /// Why it was ended from here, if it was.
    found: metered::ExcessFound,
}

/// What is read of a server's messages that come in pieces of this length, bytes.
pub(crate) fn sift(stream: &[u8], piece: usize) -> Result<Vec<u8>, String> {
    let mut frames = frames::Frames::default();
    let mut left = Vec::new();
    for piece in stream.chunks(piece.max(1)) {
        let mut piece = piece.to_vec();
        let kept = frames
            .sift(&mut piece)
            .map_err(|excess| excess.to_string())?;
        left.extend(piece.iter().take(kept));
    }
    Ok(left)
}

impl ConnectError {
    fn passing(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            permanent: false,
        }
    }

    pub(super) fn permanent(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            permanent: true,
        }
    }
}

impl Connection {
    /// Connects to the first server of the target that will do. `limit` is that of
    /// each answer.
    pub(crate) async fn open(door: &Arc<Door>, limit: Duration) -> Result<Self, ConnectError> {
        match door.target.wants {
            Wants::PreferStandby => match Self::first(door, Wants::Standby, limit).await {
                Ok(link) => Ok(link),
                Err(_) => Self::first(door, Wants::Any, limit).await,
            },
            wants => Self::first(door, wants, limit).await,
        }
    }

    async fn first(door: &Arc<Door>, wants: Wants, limit: Duration) -> Result<Self, ConnectError> {
        let connect_limit = door.target.connect_limit;
        let mut troubles: Vec<ConnectError> = Vec::new();
        for place in &door.target.places {
            let opening = async {
                let mut link = attempt::to(place, door, limit).await?;
                link.introduce(place).await?;
                link.check(wants, place).await?;
                Ok(link)
            };
            match timeout(connect_limit, opening).await {
                Ok(Ok(link)) => return Ok(link),
                Ok(Err(trouble)) => troubles.push(trouble),
                Err(_) => troubles.push(ConnectError::passing(format!(
                    "{place} does not answer within {} s",
                    connect_limit.as_secs()
                ))),
            }
        }
        let texts: Vec<&str> = troubles.iter().map(|one| one.text.as_str()).collect();
        Err(ConnectError {
            text: texts.join("; "),
            permanent: troubles.iter().all(|trouble| trouble.permanent),
        })
    }

    /// Finds out whether the session is ours, and only then names it for good: a pooler
    /// gives keys of its own making, and would leave our name to whom it lends the
    /// session next.
    async fn introduce(&mut self, place: &ServerPlace) -> Result<(), ConnectError> {
        let Some(parts) = &mut self.parts else {
            return Ok(());
        };
        parts.key = CancelRequest::of(&parts.client.cancel_token()).await;
        let known = parts.key.as_ref().map(CancelRequest::process);
        let lent = match known {
            Some(process) => {
                format!("pg_catalog.pg_backend_pid() operator(pg_catalog.<>) {process}")
            }
            None => "true".to_owned(),
        };
        let sql = format!(
            "select pg_catalog.pg_backend_pid(), \
             pg_catalog.set_config('application_name', '{APPLICATION}', {lent})"
        );
        let answer = self.ask(&sql).await;
        let answer = answer.map_err(|trouble| refusal::of_first(trouble, place))?;
        let process = AnswerRow::first(&answer).number::<i32>(0);
        self.own = process.is_some() && process == known;
        Ok(())
    }

    async fn check(&self, wants: Wants, place: &ServerPlace) -> Result<(), ConnectError> {
        if matches!(wants, Wants::Any | Wants::PreferStandby) {
            return Ok(());
        }
        let answer = self.ask(STATE).await?;
        let row = AnswerRow::first(&answer);
        let (standby, read_only) = (row.is_true(0), row.is(1, "on"));
        let (fits, lacks) = match wants {
            Wants::Any | Wants::PreferStandby => (true, ""),
            Wants::ReadWrite => (!standby && !read_only, "takes no writes"),
            Wants::ReadOnly => (standby || read_only, "takes writes"),
            Wants::Primary => (!standby, "is a standby"),
            Wants::Standby => (standby, "is not a standby"),
        };
        match fits {
            true => Ok(()),
            false => Err(ConnectError::passing(format!("{place} {lacks}"))),
        }
    }

    /// Whether the server's session is ours alone for as long as this lives. If not, a
    /// pooler answers.
    pub(crate) fn is_own(&self) -> bool {
        self.own
    }

    /// Reads in one round trip and one transaction, within these bounds; the rows of
    /// each statement that has any.
    pub(crate) async fn read(&self, bounds: Bounds, sql: &str) -> Result<Vec<Rows>, ConnectError> {
        let mut answers = self.ask(&bounds.around(sql)).await?;
        // The first is the bounds' own.
        if !answers.is_empty() {
            answers.remove(0);
        }
        Ok(answers)
    }

    /// Runs statements in one round trip and one transaction, and returns the rows of
    /// each that has any. After an error, the connection may be of no use any more.
    pub(crate) async fn ask(&self, sql: &str) -> Result<Vec<Rows>, ConnectError> {
        let Some(parts) = &self.parts else {
            return Err(ConnectError::passing("the connection has ended"));
        };
        self.busy.store(true, Relaxed);
        let answer = timeout(self.limit, parts.client.simple_query(sql)).await;
        self.busy.store(answer.is_err(), Relaxed);
        match answer {
            Ok(Ok(messages)) => rows(&messages),
            Ok(Err(error)) => Err(match parts.found.get() {
                Some(excess) => ConnectError::permanent(format!("the server {excess}")),
                None => ConnectError::passing(described(&error)),
            }),
            Err(_) => Err(ConnectError::passing(format!(
                "no answer within {} s",
                self.limit.as_secs()
            ))),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without an event loop, everything has ended already.
        if let (Some(parts), Ok(handle)) =
            (self.parts.take(), tokio::runtime::Handle::try_current())
        {
            let busy = self.busy.load(Relaxed);
            handle.spawn(farewell::say(parts, busy));
        }
    }
}

/// The rows of every statement that has any.
fn rows(messages: &[SimpleQueryMessage]) -> Result<Vec<Rows>, ConnectError> {
    let mut answers: Vec<Rows> = Vec::new();
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(_) => answers.push(Rows::new()),
            SimpleQueryMessage::Row(row) => {
                if let Some(answer) = answers.last_mut() {
                    let text = |column| match row.try_get(column) {
                        Ok(text) => Ok(text.map(str::to_owned)),
                        Err(error) => Err(ConnectError::passing(format!(
                            "cannot read the server's answer: {}",
                            described(&error)
                        ))),
                    };
                    answer.push((0..row.len()).map(text).collect::<Result<_, _>>()?);
                }
            }
            _ => {}
        }
    }
    Ok(answers)
}
