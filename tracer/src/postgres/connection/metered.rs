//! The stream below the client library: inside of TLS where there is TLS, and bounded.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use crate::postgres::connection::frames::{Excess, Frames};

/// Read at a time, bytes.
const CHUNK: usize = 8 << 10;
/// "Yes" to the question for TLS.
const YES: u8 = b'S';

/// Why a connection was ended from here, once it was.
pub(super) type ExcessFound = Arc<OnceLock<Excess>>;

/// What the bytes are that come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// One byte, which says whether there will be TLS.
    Question,
    /// TLS, with the messages inside.
    Sealed,
    /// Messages.
    Messages,
}

/// A stream whose messages are counted.
#[derive(Debug)]
pub(super) struct Metered<S> {
    stream: S,
    stage: Stage,
    frames: Frames,
    chunk: Box<[u8; CHUNK]>,
    /// What of the chunk is to be read next.
    next: usize,
    end: usize,
    found: ExcessFound,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S, stage: Stage, found: ExcessFound) -> Self {
        Self {
            stream,
            stage,
            frames: Frames::default(),
            chunk: Box::new([0; CHUNK]),
            next: 0,
            end: 0,
            found,
        }
    }
}

impl<S: AsyncRead + Unpin> Metered<S> {
    fn poll_question(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut answer = [0];
        let mut one = ReadBuf::new(&mut answer);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut one))?;
        if let [answer] = one.filled() {
            self.stage = match *answer {
                YES => Stage::Sealed,
                _ => Stage::Messages,
            };
            buffer.put_slice(one.filled());
        }
        Poll::Ready(Ok(()))
    }

    fn poll_messages(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.next == self.end {
            let mut chunk = ReadBuf::new(&mut self.chunk[..]);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut chunk))?;
            let length = chunk.filled().len();
            if length == 0 {
                return Poll::Ready(Ok(()));
            }
            self.next = 0;
            let there = self.chunk.get_mut(..length).unwrap_or_default();
            self.end = self.frames.sift(there).map_err(|excess| {
                let _ = self.found.set(excess.clone());
                io::Error::new(io::ErrorKind::InvalidData, excess)
            })?;
        }
        let there = self.chunk.get(self.next..self.end).unwrap_or_default();
        let length = buffer.remaining().min(there.len());
        buffer.put_slice(there.get(..length).unwrap_or_default());
        self.next = self.next.saturating_add(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        match self.stage {
            Stage::Question => self.poll_question(context, buffer),
            Stage::Sealed => Pin::new(&mut self.stream).poll_read(context, buffer),
            Stage::Messages => self.poll_messages(context, buffer),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Metered<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

/// Encrypts below the count, which is of what is inside.
pub(super) struct Below<T>(pub(super) T);

impl<S, T> TlsConnect<Metered<S>> for Below<T>
where
    T: TlsConnect<S>,
    T::Future: Send + 'static,
    T::Stream: 'static,
{
    type Stream = Metered<T::Stream>;
    type Error = T::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, T::Error>> + Send>>;

    fn connect(self, stream: Metered<S>) -> Self::Future {
        let Metered { stream, found, .. } = stream;
        let connecting = self.0.connect(stream);
        Box::pin(async move { Ok(Metered::new(connecting.await?, Stage::Messages, found)) })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn the_byte_before_tls_is_no_message_and_nothing_is_read_beyond_it() {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(b"Sxyz").await.unwrap();
        let mut metered = Metered::new(near, Stage::Question, ExcessFound::default());
        let mut all = [0; 8];
        assert_eq!(metered.read(&mut all).await.unwrap(), 1);
        assert_eq!(metered.stage, Stage::Sealed);
        assert_eq!(metered.read(&mut all).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn without_tls_messages_follow_and_the_reason_is_kept() {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(b"NS\0\0\0\x08a\0b\0Z\0\0\0\x05ID\x40\0\0\0")
            .await
            .unwrap();
        let found = ExcessFound::default();
        let mut metered = Metered::new(near, Stage::Question, Arc::clone(&found));
        let mut all = [0; 64];
        assert_eq!(metered.read(&mut all).await.unwrap(), 1);
        metered.read(&mut all).await.unwrap_err();
        assert_eq!(found.get(), Some(&Excess::Message(1 << 30)));
    }
}
