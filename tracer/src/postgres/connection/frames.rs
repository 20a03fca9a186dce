//! A server's messages as they pass: what nobody here reads is dropped, and too much of
//! them ends the connection before it is in memory.
//!
//! The client library keeps a message until it is whole, and every parameter that is
//! sent; what answers need not be a server, or somebody may be in between.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::fmt;

use tracer_core::text;

/// The longest message that is taken, bytes without its first: no row, and no error of a
/// server's, comes near.
const MAX_MESSAGE_BYTES: u32 = 1 << 20;
/// The longest answer, bytes: of ten thousand standbys and as many slots. What comes
/// between two answers counts for the second.
const MAX_ANSWER_BYTES: u64 = 4 << 20;
/// Messages of one answer: an empty row takes more memory than it is long.
const MAX_MESSAGES: u32 = 1 << 16;
/// The kind and the length of a message
/// (<https://www.postgresql.org/docs/15/protocol-message-formats.html>).
const HEADER: usize = 5;
/// How much is shown of an error without a frame.
const MAX_TEXT: usize = 300;

const NOTICE: u8 = b'N';
const NOTIFICATION: u8 = b'A';
const PARAMETER: u8 = b'S';
const READY: u8 = b'Z';
const ERROR: u8 = b'E';

/// Why a connection was ended from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Excess {
    /// The length that a message says it has, bytes.
    Message(u32),
    /// Bytes since the last answer.
    Answer,
    /// Messages since the last answer.
    Messages,
    /// An error as servers of the oldest protocol write it, and later ones that cannot
    /// start a process: `report_fork_failure_to_client()` in
    /// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/postmaster/postmaster.c>.
    Unframed(String),
}

impl std::error::Error for Excess {}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at_most = |bytes: u64| text::bytes(i64::try_from(bytes).unwrap_or(i64::MAX));
        match self {
            Self::Message(length) => write!(
                f,
                "sent a message of {length} bytes, where PostgreSQL's have from 4 to far below \
                 {}: it is no PostgreSQL server, or somebody in between writes what it says; \
                 tracer has ended the connection",
                at_most(MAX_MESSAGE_BYTES.into())
            ),
            Self::Answer => write!(
                f,
                "sent more than {} for one answer, which no PostgreSQL server does; tracer has \
                 ended the connection",
                at_most(MAX_ANSWER_BYTES)
            ),
            Self::Messages => write!(
                f,
                "sent more than {MAX_MESSAGES} messages for one answer, which no PostgreSQL \
                 server does; tracer has ended the connection"
            ),
            Self::Unframed(text) => write!(f, "refused the connection: {text}"),
        }
    }
}

/// Where in the stream of messages we are.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The beginning of a message, and how much of that there is.
    header: [u8; HEADER],
    have: usize,
    /// How much of its body is still to come, bytes.
    body: usize,
    /// Whether there was a whole message.
    begun: bool,
    bytes: u64,
    messages: u32,
}

impl Frames {
    /// Takes in what came next, and moves to its beginning what is to be read; returns
    /// how much that is, bytes.
    pub(super) fn sift(&mut self, bytes: &mut [u8]) -> Result<usize, Excess> {
        let (mut at, mut kept) = (0_usize, 0_usize);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let length = if self.have < HEADER {
                let lacking = self.header.iter_mut().skip(self.have);
                let length = lacking.len().min(rest.len());
                lacking.zip(rest).for_each(|(to, from)| *to = *from);
                self.have = self.have.saturating_add(length);
                if self.have == HEADER {
                    self.body = self.enter(rest.get(length..).unwrap_or_default())?;
                }
                length
            } else {
                let length = rest.len().min(self.body);
                self.body = self.body.saturating_sub(length);
                length
            };
            self.bytes = self
                .bytes
                .saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
            if self.bytes > MAX_ANSWER_BYTES {
                return Err(Excess::Answer);
            }
            let end = at.saturating_add(length);
            if !matches!(self.header[0], NOTICE | NOTIFICATION | PARAMETER) {
                bytes.copy_within(at..end, kept);
                kept = kept.saturating_add(length);
            }
            at = end;
            if self.have == HEADER && self.body == 0 {
                self.leave();
            }
        }
        Ok(kept)
    }

    /// The header is whole: how long the body is. `behind` is what has come of that.
    fn enter(&mut self, behind: &[u8]) -> Result<usize, Excess> {
        let [kind, length @ ..] = self.header;
        let stated = u32::from_be_bytes(length);
        // It counts itself.
        let body = stated
            .checked_sub(4)
            .filter(|_| stated <= MAX_MESSAGE_BYTES);
        let Some(body) = body else {
            if kind == ERROR && !self.begun {
                let text = [&length, behind].concat();
                let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
                let text = String::from_utf8_lossy(text);
                return Err(Excess::Unframed(text::harmless(text.trim(), MAX_TEXT)));
            }
            return Err(Excess::Message(stated));
        };
        self.messages = self.messages.saturating_add(1);
        if self.messages > MAX_MESSAGES {
            return Err(Excess::Messages);
        }
        // No address space is smaller than the longest.
        Ok(usize::try_from(body).unwrap_or(usize::MAX))
    }

    /// A message is whole.
    fn leave(&mut self) {
        if self.header[0] == READY {
            (self.bytes, self.messages) = (0, 0);
        }
        self.have = 0;
        self.begun = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    /// What is left of a stream that comes in pieces of this length.
    fn sifted(frames: &mut Frames, stream: &[u8], piece: usize) -> Result<Vec<u8>, Excess> {
        let mut left = Vec::new();
        for piece in stream.chunks(piece) {
            let mut piece = piece.to_vec();
            let kept = frames.sift(&mut piece)?;
            left.extend_from_slice(&piece[..kept]);
        }
        Ok(left)
    }

    #[test]
    fn what_nobody_reads_is_dropped_wherever_it_is_cut() {
        let row = message(b'D', &[0, 1, 0, 0, 0, 1, b'x']);
        let ready = message(READY, b"I");
        let stream = [
            message(PARAMETER, b"TimeZone\0UTC\0"),
            row.clone(),
            message(NOTICE, b""),
            message(NOTIFICATION, b"1234a\0b\0"),
            message(b'I', b""),
            ready.clone(),
        ]
        .concat();
        let expected = [row, message(b'I', b""), ready].concat();
        for piece in 1..=stream.len() {
            let left = sifted(&mut Frames::default(), &stream, piece).unwrap();
            assert_eq!(left, expected, "{piece}");
        }
    }

    #[test]
    fn a_length_that_no_message_has_is_noticed_with_its_last_byte() {
        for (kind, stated) in [
            (b'D', 1 << 30),
            (NOTICE, MAX_MESSAGE_BYTES + 1),
            (b'C', 3),
            (b'T', 0),
        ] {
            let header = [&[kind][..], &u32::to_be_bytes(stated)].concat();
            for piece in 1..=header.len() {
                let error = sifted(&mut Frames::default(), &header, piece).unwrap_err();
                assert_eq!(error, Excess::Message(stated));
            }
        }
        // Another protocol.
        let error = sifted(&mut Frames::default(), b"SSH-2.0-OpenSSH_9.2p1\r\n", 8);
        assert!(error.unwrap_err().to_string().contains("no PostgreSQL"));
    }

    #[test]
    fn an_answer_is_bounded_in_bytes_and_in_messages_and_the_next_begins_anew() {
        let mut frames = Frames::default();
        let half = message(b'D', &vec![0; 1 << 19]).repeat(4);
        let ready = message(READY, b"I");
        for _ in 0..10 {
            sifted(&mut frames, &half, 8192).unwrap();
            sifted(&mut frames, &ready, 8192).unwrap();
        }
        let endless = message(b'D', &vec![0; 1 << 19]).repeat(9);
        assert_eq!(sifted(&mut frames, &endless, 8192), Err(Excess::Answer));
        // Also of what is dropped.
        for kind in [b'D', NOTICE, PARAMETER] {
            let mut frames = Frames::default();
            let many = message(kind, b"\0\0").repeat(1 << 16);
            sifted(&mut frames, &many, 8192).unwrap();
            let one = message(kind, b"\0\0");
            assert_eq!(sifted(&mut frames, &one, 8192), Err(Excess::Messages));
        }
    }

    #[test]
    fn an_error_without_a_frame_is_told() {
        let text = b"Ecould not fork new process for connection: Cannot allocate memory\n\0";
        let error = sifted(&mut Frames::default(), text, 8192).unwrap_err();
        assert_eq!(
            error.to_string(),
            "refused the connection: could not fork new process for connection: Cannot \
             allocate memory"
        );
    }
}
