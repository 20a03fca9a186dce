//! The little of PostgreSQL's protocol that the lab speaks: trusted login and
//! simple queries, with a deadline on each.
//!
//! The crates for it pull in some hundred others, which would triple the build
//! of the very first command that a newcomer runs.
//! Messages: <https://www.postgresql.org/docs/15/protocol-message-formats.html>

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Protocol 3.0.
const VERSION: u32 = 196_608;

/// Longer messages than this are a sign of having lost the thread.
const MESSAGE_MAX: usize = 16 << 20;

/// A row: text, or `None` for NULL.
pub type Row = Vec<Option<String>>;

/// A connection to a server that trusts us.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
}

impl Connection {
    /// Connects over TCP, from the namespace that the calling thread is in.
    ///
    /// `limit` bounds the connecting and each answer afterwards.
    ///
    /// # Errors
    /// When the server cannot be reached or does not want us.
    pub fn tcp(server: SocketAddr, name: &str, limit: Duration) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&server, limit)
            .with_context(|| format!("cannot connect to {server}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Self::login(Stream::Tcp(stream), name)
    }

    /// Connects over the server's socket file.
    ///
    /// # Errors
    /// When the server is not there (yet) or does not want us.
    pub fn unix(socket: &Path, name: &str, limit: Duration) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("cannot connect to {}", socket.display()))?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Self::login(Stream::Unix(stream), name)
    }

    fn login(stream: Stream, name: &str) -> Result<Self> {
        let mut body = VERSION.to_be_bytes().to_vec();
        for text in ["user", "postgres", "application_name", name, ""] {
            body.extend(text.as_bytes());
            body.push(0);
        }
        let mut connection = Self { stream };
        connection.stream.write_all(&with_length(&body)?)?;
        connection
            .answer()
            .context("the server refused the login")?;
        Ok(connection)
    }

    /// Runs SQL and returns the rows of the last statement in it that has any.
    ///
    /// # Errors
    /// What the server says, or when it says nothing in time. After the
    /// latter, the connection is of no use any more.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Row>> {
        let mut body = sql.as_bytes().to_vec();
        body.push(0);
        let mut message = vec![b'Q'];
        message.extend(with_length(&body)?);
        self.stream
            .write_all(&message)
            .context("cannot send a query")?;
        self.answer().with_context(|| format!("`{sql}`"))
    }

    /// Runs SQL and returns the first column of its first row; `None` without
    /// rows, or for NULL.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn value(&mut self, sql: &str) -> Result<Option<String>> {
        let row = self.query(sql)?.into_iter().next();
        Ok(row.and_then(|row| row.into_iter().next().flatten()))
    }

    /// From now on, the longest silence to bear before an answer.
    ///
    /// # Errors
    /// When the limit is zero.
    pub fn set_limit(&self, limit: Duration) -> Result<()> {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(limit))?,
            Stream::Unix(stream) => stream.set_read_timeout(Some(limit))?,
        }
        Ok(())
    }

    /// A handle that can cut the connection from another thread.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn cutter(&self) -> Result<Cutter> {
        Ok(Cutter(self.stream.try_clone()?))
    }

    /// Reads messages until the server is ready for the next query.
    fn answer(&mut self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let mut error = None;
        loop {
            let (kind, body) = self.message()?;
            match kind {
                b'Z' => break,
                b'D' => rows.push(parse_row(&body).context("a row that cannot be read")?),
                // A new statement's columns: its rows are the ones to return.
                b'T' => rows.clear(),
                b'E' => error = Some(parse_error(&body)),
                b'R' if !body.starts_with(&[0; 4]) => {
                    bail!("the server asks for a password, which the lab has none of")
                }
                // Parameters, notices, cancellation key, command tags.
                _ => {}
            }
            // A server that refuses the login hangs up after saying so.
            if let Some(error) = &error
                && error.starts_with("FATAL")
            {
                break;
            }
        }
        match error {
            Some(error) => bail!(error),
            None => Ok(rows),
        }
    }

    fn message(&mut self) -> Result<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream
            .read_exact(&mut head)
            .context("no answer from the server")?;
        let [kind, length @ ..] = head;
        // The length counts itself.
        let length = usize::try_from(u32::from_be_bytes(length))?.saturating_sub(4);
        if length > MESSAGE_MAX {
            bail!("the server announces a message of {length} bytes");
        }
        let mut body = vec![0; length];
        self.stream
            .read_exact(&mut body)
            .context("the server's answer breaks off")?;
        Ok((kind, body))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Terminate: without it the server logs an unexpected EOF.
        let _ = self.stream.write_all(&[b'X', 0, 0, 0, 4]);
    }
}

/// Cuts a connection, whoever waits on it.
#[derive(Debug)]
pub struct Cutter(Stream);

impl Cutter {
    /// Ends the connection: a pending query fails at once.
    pub fn cut(&self) {
        let _ = match &self.0 {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Unix(stream) => stream.write_all(bytes),
        }
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> std::io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.read_exact(bytes),
            Self::Unix(stream) => stream.read_exact(bytes),
        }
    }

    fn try_clone(&self) -> std::io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
        })
    }
}

fn with_length(body: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(body.len() + 4).context("a query of 4 GB")?;
    let mut message = length.to_be_bytes().to_vec();
    message.extend(body);
    Ok(message)
}

fn parse_row(body: &[u8]) -> Option<Row> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut row = Row::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        // -1 stands for NULL.
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (value, after) = after.split_at_checked(length.unwrap_or(0))?;
        row.push(length.map(|_| String::from_utf8_lossy(value).into_owned()));
        rest = after;
    }
    Some(row)
}

/// "SEVERITY: message", from fields that each begin with their letter.
fn parse_error(body: &[u8]) -> String {
    let field = |letter| {
        body.split(|byte| *byte == 0)
            .find(|field| field.first() == Some(&letter))
            .map(|field| String::from_utf8_lossy(field.get(1..).unwrap_or_default()).into_owned())
            .unwrap_or_default()
    };
    format!("{}: {}", field(b'S'), field(b'M'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_text_and_nulls() {
        let body = [0, 2, 0, 0, 0, 2, b'o', b'k', 255, 255, 255, 255];
        assert_eq!(parse_row(&body), Some(vec![Some("ok".to_owned()), None]));
    }

    #[test]
    fn a_short_row_is_no_row() {
        assert_eq!(parse_row(&[0, 1, 0, 0, 0, 9, b'o']), None);
        assert_eq!(parse_row(&[0]), None);
    }

    #[test]
    fn an_error_tells_severity_and_message() {
        let body = b"SERROR\0VERROR\0C42P01\0Mrelation \"x\" does not exist\0\0";
        assert_eq!(parse_error(body), "ERROR: relation \"x\" does not exist");
    }
}
