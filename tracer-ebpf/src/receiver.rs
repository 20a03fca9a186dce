//! The contract of the programs that follow WAL through a standby: from the segment that
//! brings it to the reply that says it is flushed, or replayed.
//!
//! Records of the ring buffer `STAGES`, as those in [`crate::stage`]. Workers of logical
//! replication use the same library, and are told of likewise: userspace knows which is which.

use crate::flow::Tuple;

/// A process that receives replication was not seen before, or has another connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverMet {
    /// [`crate::StageKind::ReceiverMet`].
    pub kind: u32,
    /// Its process.
    pub pid: u32,
    /// The server's first process.
    pub server: u32,
    /// Always 0.
    pub _pad: u32,
    /// What its connection is known by in the records that follow; 0 if it has none over TCP,
    /// or none was seen yet.
    pub sock: u64,
    /// Its ends; all 0 likewise.
    pub tuple: Tuple,
}

/// A walreceiver has read a message with WAL.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalReceived {
    /// [`crate::StageKind::WalReceived`].
    pub kind: u32,
    /// Its process.
    pub pid: u32,
    /// Its connection; 0 if that is not TCP's.
    pub sock: u64,
    /// When.
    pub time_ns: u64,
    /// Where the WAL begins.
    pub from_lsn: u64,
    /// Where it ends.
    pub to_lsn: u64,
    /// `copied_seq` of the connection: up to where it has read.
    pub copied_seq: u32,
    /// `rcv_nxt`.
    pub rcv_nxt: u32,
    /// `snd_una`.
    pub snd_una: u32,
    /// Always 0.
    pub _pad: u32,
}

/// A walreceiver has flushed the WAL that it has written.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalFlushed {
    /// [`crate::StageKind::WalFlushed`].
    pub kind: u32,
    /// Its process.
    pub pid: u32,
    /// When that began.
    pub from_ns: u64,
    /// When it was done.
    pub to_ns: u64,
}

/// A walreceiver sends a reply.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplySent {
    /// [`crate::StageKind::ReplySent`].
    pub kind: u32,
    /// Its process.
    pub pid: u32,
    /// Its connection; 0 if that is not TCP's.
    pub sock: u64,
    /// When.
    pub time_ns: u64,
    /// Up to where WAL is written.
    pub write_lsn: u64,
    /// Up to where it is flushed.
    pub flush_lsn: u64,
    /// Up to where it is replayed.
    pub apply_lsn: u64,
    /// `write_seq` of the connection: the reply comes behind it.
    pub write_seq: u32,
    /// `snd_una`.
    pub snd_una: u32,
    /// `rcv_nxt`.
    pub rcv_nxt: u32,
    /// Always 0.
    pub _pad: u32,
}

const _: () = assert!(size_of::<ReceiverMet>() == 24 + size_of::<Tuple>());
const _: () = assert!(size_of::<WalReceived>() == 56);
const _: () = assert!(size_of::<WalFlushed>() == 24);
const _: () = assert!(size_of::<ReplySent>() == 64);
