//! The key by which a connection's work can be cancelled, and which process it names.
//!
//! The client library keeps that to itself and writes it into cancel requests alone: so
//! one is written, to memory.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio_postgres::CancelToken;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// More than a request for TLS and one to cancel.
const ROOM: usize = 64;
/// Length, code, process and secret
/// (<https://www.postgresql.org/docs/15/protocol-message-formats.html>).
const REQUEST: usize = 16;

/// A request to cancel what is under way on one connection.
#[derive(Debug)]
pub(super) struct CancelRequest([u8; REQUEST]);

impl CancelRequest {
    /// That of a connection.
    pub(super) async fn of(token: &CancelToken) -> Option<Self> {
        let (near, mut far) = tokio::io::duplex(ROOM);
        // "Yes" to the question for TLS, where it is asked.
        far.write_all(b"S").await.ok()?;
        token.cancel_query_raw(near, Memory).await.ok()?;
        let mut sent = Vec::new();
        far.read_to_end(&mut sent).await.ok()?;
        sent.last_chunk().map(|request| Self(*request))
    }

    /// As it is sent.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The process id that the server, or a pooler in its place, gave at the login.
    pub(super) fn process(&self) -> i32 {
        let [_, _, _, _, _, _, _, _, process @ .., _, _, _, _] = self.0;
        i32::from_be_bytes(process)
    }
}

/// Leaves everything as it is.
struct Memory;

struct Plain(DuplexStream);

impl TlsConnect<DuplexStream> for Memory {
    type Stream = Plain;
    type Error = Infallible;
    type Future = Ready<Result<Plain, Infallible>>;

    fn connect(self, stream: DuplexStream) -> Self::Future {
        ready(Ok(Plain(stream)))
    }
}

impl TlsStream for Plain {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
