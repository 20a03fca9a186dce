//! A connection to a server: every wait in it has a deadline, and every way in
//! which it fails is one line.

mod attempt;

use std::error::Error as _;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::target::{Place, Target, Wants};
use super::text;

/// What our sessions call themselves.
pub const APPLICATION: &str = "tracer";
/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// The longest that an error of a server's is shown.
const LONGEST_ERROR: usize = 300;
/// What tells whether a server will do.
const STATE: &str = "select pg_catalog.pg_is_in_recovery(), \
     pg_catalog.current_setting('transaction_read_only')";

/// Why there is no connection, or no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// One line.
    pub text: String,
    /// Whether trying again soon is of no use.
    pub lasting: bool,
}

/// A connection. It ends when dropped.
#[derive(Debug)]
pub struct Link {
    client: Client,
    transfer: JoinHandle<()>,
    /// The longest to wait for an answer.
    pub limit: Duration,
}

/// The rows of one statement, as text.
pub type Rows = Vec<Vec<Option<String>>>;

impl Trouble {
    fn passing(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            lasting: false,
        }
    }

    pub(super) fn lasting(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            lasting: true,
        }
    }
}

impl Link {
    /// Connects to the first server of the target that will do. `limit` is that of
    /// each answer.
    ///
    /// # Errors
    /// What was wrong with each server, in one line.
    pub async fn open(target: &Target, limit: Duration) -> Result<Self, Trouble> {
        match target.wants {
            Wants::PreferStandby => match Self::first(target, Wants::Standby, limit).await {
                Ok(link) => Ok(link),
                Err(_) => Self::first(target, Wants::Any, limit).await,
            },
            wants => Self::first(target, wants, limit).await,
        }
    }

    async fn first(target: &Target, wants: Wants, limit: Duration) -> Result<Self, Trouble> {
        let mut troubles: Vec<Trouble> = Vec::new();
        for place in &target.places {
            let opening = async {
                let link = attempt::to(place, target, limit).await?;
                link.check(wants, place).await?;
                Ok(link)
            };
            let opened = timeout(target.connect_limit, opening).await;
            match opened.unwrap_or_else(|_| {
                Err(Trouble::passing(format!(
                    "{place} does not answer within {} s",
                    target.connect_limit.as_secs()
                )))
            }) {
                Ok(link) => return Ok(link),
                Err(trouble) => troubles.push(trouble),
            }
        }
        Err(Trouble {
            lasting: troubles.iter().all(|trouble| trouble.lasting),
            text: troubles
                .into_iter()
                .map(|trouble| trouble.text)
                .collect::<Vec<_>>()
                .join("; "),
        })
    }

    async fn check(&self, wants: Wants, place: &Place) -> Result<(), Trouble> {
        if matches!(wants, Wants::Any | Wants::PreferStandby) {
            return Ok(());
        }
        let answer = self.ask(STATE).await?;
        let yes = |column: usize, value: &str| {
            let row = answer.first().and_then(|rows| rows.first());
            row.and_then(|row| row.get(column)?.as_deref()) == Some(value)
        };
        let (standby, read_only) = (yes(0, "t"), yes(1, "on"));
        let (fits, lacks) = match wants {
            Wants::Any | Wants::PreferStandby => (true, ""),
            Wants::ReadWrite => (!standby && !read_only, "takes no writes"),
            Wants::ReadOnly => (standby || read_only, "takes writes"),
            Wants::Primary => (!standby, "is a standby"),
            Wants::Standby => (standby, "is no standby"),
        };
        match fits {
            true => Ok(()),
            false => Err(Trouble::passing(format!("{place} {lacks}"))),
        }
    }

    /// Runs statements in one round trip, and returns the rows of each that has
    /// any. After an error, the connection may be of no use any more.
    ///
    /// # Errors
    /// What the server says, or that it says nothing in time.
    pub async fn ask(&self, sql: &str) -> Result<Vec<Rows>, Trouble> {
        match timeout(self.limit, self.client.simple_query(sql)).await {
            Ok(Ok(messages)) => rows(&messages),
            Ok(Err(error)) => Err(Trouble {
                text: told(&error),
                lasting: false,
            }),
            Err(_) => Err(Trouble::passing(format!(
                "no answer within {} s",
                self.limit.as_secs()
            ))),
        }
    }

    /// Says goodbye, so that the server does not log an unexpected end.
    pub async fn close(self) {
        let Self {
            client,
            mut transfer,
            ..
        } = self;
        drop(client);
        if timeout(FAREWELL, &mut transfer).await.is_err() {
            transfer.abort();
        }
    }
}

/// What the server said, or else why it did not; in one harmless line.
fn told(error: &tokio_postgres::Error) -> String {
    let told = match (error.as_db_error(), error.source()) {
        (Some(said), _) => format!("{}: {}", said.severity(), said.message()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    };
    text::harmless(&told, LONGEST_ERROR)
}

/// The rows of every statement that has any.
fn rows(messages: &[SimpleQueryMessage]) -> Result<Vec<Rows>, Trouble> {
    let mut answers: Vec<Rows> = Vec::new();
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(_) => answers.push(Rows::new()),
            SimpleQueryMessage::Row(row) => {
                if let Some(answer) = answers.last_mut() {
                    let text = |column| match row.try_get(column) {
                        Ok(text) => Ok(text.map(str::to_owned)),
                        Err(error) => Err(Trouble::passing(format!(
                            "cannot read the server's answer: {}",
                            told(&error)
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
