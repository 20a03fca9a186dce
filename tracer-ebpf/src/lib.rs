//! The contract between tracer's kernel programs and its userspace: every type
//! that crosses the boundary, with its units and byte order.
//!
//! All types are `#[repr(C)]`, without implicit padding, and their sizes are
//! asserted at compile time: both sides are compiled by different compilers.
//! Integers are in the machine's byte order, ports included; addresses are in
//! network order and always 16 bytes, IPv4 as `::ffff:a.b.c.d`.
//!
//! The programs themselves are three objects, a folder each: `retransmit/`, `fault/`
//! and `commit/`; `shared/` has what is part of more than one.
#![no_std]

mod address;
mod commit;
mod control;
mod event;
mod fault;
mod flow;
mod free_range;
mod offsets;
mod pidns;
mod receiver;
mod stage;
mod totals;

pub use address::mapped;
pub use commit::{
    BUCKETS, Backend, CommitGap, CommitSettings, MAX_BACKENDS, MAX_RECEIVERS, MAX_SENDERS, Part,
    ServerCommits, SlowCommit, bucket, bucket_start,
};
pub use control::{Baseline, Control, Gap, MAX_PORTS, Settings};
pub use event::{Event, EventKind};
pub use fault::{
    BurstState, DIRECTIONS, Direction, FaultCounters, FaultSettings, HitChance, Tally,
};
pub use flow::{Ends, Flow, Owner, RetransmitKind, Service, Socket, Tuple, Verdict};
pub use free_range::FreeRange;
pub use offsets::{ABSENT, Offsets};
pub use pidns::PidNamespace;
pub use receiver::{ReceiverMet, ReplySent, WalFlushed, WalReceived};
pub use stage::{
    LEAST_WAIT_NS, ReplyHandled, SegmentReceived, SenderMet, ServerLayout, ServerMet, StageGap,
    StageKind, StageOffsets, WAIT_MODES, WaitEnded, WalTaken, WalsenderHook, awaits_by_shared,
};
pub use totals::{MAX_NAMESPACES, Totals};
