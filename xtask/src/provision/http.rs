//! One question over HTTP to a server of the lab, with a deadline.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::testbed::netns::Host;

/// More than any page of the lab's servers.
const LARGEST: usize = 4 << 20;

/// For an answer of the lab's servers.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200 and so on.
    pub status: u16,
    /// What followed the headers.
    pub body: String,
}

/// Asks from the network namespace that the calling thread is in.
///
/// # Errors
/// When there is no whole answer within the limit.
pub fn get(server: SocketAddr, path: &str, limit: Duration) -> Result<Answer> {
    let deadline = Instant::now() + limit;
    let mut stream = TcpStream::connect_timeout(&server, limit)
        .with_context(|| format!("cannot connect to {server}"))?;
    // 1.0: the end of the answer is the end of the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n")?;
    let mut bytes = Vec::new();
    let mut part = [0; 16384];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        ensure!(
            !left.is_zero(),
            "no whole answer from {server} in {limit:?}"
        );
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(count) => bytes.extend(part.iter().take(count)),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(error).with_context(|| format!("no answer from {server}"));
            }
        }
        ensure!(bytes.len() <= LARGEST, "{server} does not stop talking");
    }
    parse(&String::from_utf8_lossy(&bytes)).with_context(|| format!("{server}{path}"))
}

/// Asks a host, from the host itself: also when nobody else can.
pub(crate) fn get_on(host: &Host, port: u16, path: &str) -> Result<Answer> {
    let server = SocketAddr::new(host.v4.into(), port);
    host.netns.enter(|| get(server, path, ANSWER))
}

fn parse(text: &str) -> Result<Answer> {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        bail!("an answer without an end of its headers");
    };
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    // HAProxy sends pieces even to those who cannot have asked for them.
    let in_pieces = head
        .to_ascii_lowercase()
        .contains("\r\ntransfer-encoding: chunked");
    Ok(Answer {
        status: status.context("an answer without a status")?,
        body: if in_pieces {
            joined(body).context("an answer in pieces, cut short")?
        } else {
            body.to_owned()
        },
    })
}

/// A body that came in pieces, each behind its length in hexadecimal.
fn joined(mut pieces: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (length, rest) = pieces.split_once("\r\n")?;
        let length = usize::from_str_radix(length.split(';').next()?.trim(), 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body += rest.get(..length)?;
        pieces = rest.get(length..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = parse("HTTP/1.0 503 Service Unavailable\r\nA: b\r\n\r\n{}\r\n\r\n").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (503, "{}\r\n\r\n"));
        assert!(parse("HTTP/1.0 200 OK\r\n").is_err());
        let pieces =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na,b\r\nA\r\n0123456789\r\n";
        assert_eq!(
            parse(&format!("{pieces}0\r\n\r\n")).unwrap().body,
            "a,b0123456789"
        );
        assert!(parse(pieces).is_err());
        assert!(parse("nonsense\r\n\r\n").is_err());
    }
}
