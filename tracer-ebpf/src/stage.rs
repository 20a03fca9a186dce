//! The contract of the programs that follow a commit's wait for a standby: from the
//! walsender that sends its WAL to the reply that releases it.
//!
//! Each record of the ring buffer `STAGES` is one of the structs below, or of those of a
//! walreceiver ([`crate::WalReceived`] and its like), told apart by its first field
//! ([`StageKind`]). Times are ns of `CLOCK_MONOTONIC`, positions in the WAL byte positions,
//! sequence numbers TCP's.

use crate::flow::Tuple;

/// A wait that was shorter, ns, found its WAL confirmed already, and has no stages: a reply
/// takes two hand-overs between processes, on a loopback interface too.
pub const LEAST_WAIT_NS: u64 = 10_000;

/// What a record is.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageKind {
    /// [`WaitEnded`].
    WaitEnded = 1,
    /// [`SenderMet`].
    SenderMet = 2,
    /// [`WalTaken`].
    WalTaken = 3,
    /// [`SegmentReceived`].
    SegmentReceived = 4,
    /// [`ReplyHandled`].
    ReplyHandled = 5,
    /// [`ServerMet`].
    ServerMet = 6,
    /// [`crate::ReceiverMet`].
    ReceiverMet = 7,
    /// [`crate::WalReceived`].
    WalReceived = 8,
    /// [`crate::WalFlushed`].
    WalFlushed = 9,
    /// [`crate::ReplySent`].
    ReplySent = 10,
}

/// What had to be given up; indexes the per-CPU array `STAGE_GAPS`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageGap {
    /// A record that the ring buffer had no room for.
    Lost = 0,
    /// A walsender or walreceiver that there was no room to remember: what it does has no stages.
    SendersFull = 1,
    /// A wait of a session whose settings could not be read: whether it was for a standby is not
    /// known.
    SettingsUnread = 2,
}

impl StageGap {
    /// Number of gaps.
    pub const COUNT: usize = 3;
}

/// Whether commits of a server wait for any standby, by what its processes share behind
/// `WalSndCtl->lsn`; [`None`] where that is not known.
///
/// It is a `bool`, `sync_standbys_defined`, or bits, `sync_standbys_status`, depending on the minor
/// version, as 15.18 has the bits of 18: 1 says there that the names were looked at, 2 that there are some
/// (<https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/replication/walsender_private.h>).
/// All 0 is a server that has just started, in which nobody has waited for long.
#[must_use]
pub const fn awaits_by_shared(state: Option<u8>) -> Option<bool> {
    match state {
        Some(0) => Some(false),
        // `true`, or names that were looked at and are empty.
        Some(1) | None => None,
        Some(_) => Some(true),
    }
}

/// Where the kernel keeps what leads from a process to its TCP connection, in bytes, and
/// what is read of that. Frozen before the programs are loaded; members of the socket
/// types count from the start of `struct sock`, those of `tcp_skb_cb` from `struct
/// sk_buff`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageOffsets {
    /// `task_struct.files`.
    pub task_files: u32,
    /// `files_struct.fdt`.
    pub files_fdt: u32,
    /// `fdtable.fd`.
    pub fdt_fd: u32,
    /// `file.private_data`.
    pub file_private: u32,
    /// `socket.sk`.
    pub socket_sk: u32,
    /// `sock.sk_protocol`, 16 bits wide.
    pub sk_protocol: u32,
    /// `sock_common.skc_family`.
    pub skc_family: u32,
    /// `sock_common.skc_daddr`.
    pub skc_daddr: u32,
    /// `sock_common.skc_rcv_saddr`.
    pub skc_rcv_saddr: u32,
    /// `sock_common.skc_v6_daddr`.
    pub skc_v6_daddr: u32,
    /// `sock_common.skc_v6_rcv_saddr`.
    pub skc_v6_rcv_saddr: u32,
    /// `sock_common.skc_dport`.
    pub skc_dport: u32,
    /// `sock_common.skc_num`.
    pub skc_num: u32,
    /// `sock_common.skc_net.net`.
    pub skc_net: u32,
    /// `net.ns.inum`.
    pub net_inum: u32,
    /// `tcp_sock.write_seq`.
    pub write_seq: u32,
    /// `tcp_sock.snd_una`.
    pub snd_una: u32,
    /// `tcp_sock.rcv_nxt`.
    pub rcv_nxt: u32,
    /// `tcp_sock.copied_seq`.
    pub copied_seq: u32,
    /// `tcp_skb_cb.seq`.
    pub cb_seq: u32,
    /// `tcp_skb_cb.end_seq`.
    pub cb_end_seq: u32,
    /// `tcp_skb_cb.ack_seq`.
    pub cb_ack_seq: u32,
}

/// A function of walsenders that is watched. The discriminant indexes
/// [`ServerLayout::calls`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalsenderHook {
    /// `WALRead`, or `WALReadFromBuffers`: WAL is taken to be sent.
    WalRead = 0,
    /// `SyncRepReleaseWaiters`: a reply was read.
    Release = 1,
    /// Its return.
    Released = 2,
}

impl WalsenderHook {
    /// How many there are.
    pub const COUNT: usize = 3;
}

/// Where the processes of a server keep what is read of them: addresses, the same in all of
/// them, because its first process is what they were forked from. All 0 where that is not
/// known.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerLayout {
    /// `WalSnd *MyWalSnd`: what a walsender has, and nobody else.
    pub my_walsnd: u64,
    /// `WalSndCtlData *WalSndCtl`.
    pub walsnd_ctl: u64,
    /// `Port *MyProcPort`.
    pub my_proc_port: u64,
    /// `bool am_db_walsender`: it sends what it has decoded.
    pub am_db_walsender: u64,
    /// `int synchronous_commit`: what this backend waits for.
    pub synchronous_commit: u64,
    /// `char *SyncRepStandbyNames`: empty where commits wait for no standby.
    pub standby_names: u64,
    /// How often its walsenders were seen to call each function, by [`WalsenderHook`]: counted
    /// by the programs.
    pub calls: [u64; WalsenderHook::COUNT],
}

/// What a wait is for, in the order of `WalSndCtl->lsn`
/// (`SYNC_REP_WAIT_WRITE` to `SYNC_REP_WAIT_APPLY`,
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/include/replication/syncrep.h>).
pub const WAIT_MODES: usize = 3;

/// A backend's wait for a standby is over.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitEnded {
    /// [`StageKind::WaitEnded`].
    pub kind: u32,
    /// The backend's process.
    pub pid: u32,
    /// The server's first process.
    pub server: u32,
    /// `synchronous_commit` of the session, as the server numbers it.
    pub synchronous_commit: u32,
    /// When the commit began.
    pub start_ns: u64,
    /// When the wait began.
    pub from_ns: u64,
    /// When it ended.
    pub to_ns: u64,
    /// The position in the WAL that it was for.
    pub lsn: u64,
    /// 1 for a commit; 0 for a `PREPARE`, which waits for no replay.
    pub is_commit: u32,
    /// 1 for a commit that was slow.
    pub is_slow: u32,
}

/// A walsender has another connection than before, or was not seen before.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderMet {
    /// [`StageKind::SenderMet`].
    pub kind: u32,
    /// The walsender's process.
    pub pid: u32,
    /// The server's first process.
    pub server: u32,
    /// 1 if it sends what it has decoded, and not the WAL itself.
    pub is_logical: u32,
    /// What its connection is known by in the records that follow.
    pub sock: u64,
    /// Its ends.
    pub tuple: Tuple,
}

/// A walsender takes WAL to send it. What it took before is in its socket by now.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalTaken {
    /// [`StageKind::WalTaken`].
    pub kind: u32,
    /// `write_seq` of its connection: the end of what it has sent before.
    pub write_seq: u32,
    /// Its connection.
    pub sock: u64,
    /// When.
    pub time_ns: u64,
    /// Where what it takes begins.
    pub from_lsn: u64,
    /// Where it ends.
    pub to_lsn: u64,
}

/// A segment has arrived for a walsender or a walreceiver, and is looked at next: all numbers of the
/// connection are those before it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentReceived {
    /// [`StageKind::SegmentReceived`].
    pub kind: u32,
    /// Up to where it acknowledges.
    pub ack_seq: u32,
    /// Its connection.
    pub sock: u64,
    /// When.
    pub time_ns: u64,
    /// Its first byte.
    pub seq: u32,
    /// Behind its last byte.
    pub end_seq: u32,
    /// `snd_una` of the connection.
    pub snd_una: u32,
    /// `rcv_nxt` of the connection.
    pub rcv_nxt: u32,
}

/// A walsender has read a reply, and has released who waited for it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplyHandled {
    /// [`StageKind::ReplyHandled`].
    pub kind: u32,
    /// `write_seq` of its connection.
    pub write_seq: u32,
    /// Its connection.
    pub sock: u64,
    /// When it began to look who can be released: it has read the reply.
    pub from_ns: u64,
    /// When it had released them.
    pub to_ns: u64,
    /// Up to where waits of this server were over before, by what they are for:
    /// `WalSndCtl->lsn`.
    pub before: [u64; WAIT_MODES],
    /// The same after it.
    pub released: [u64; WAIT_MODES],
    /// `snd_una` of the connection.
    pub snd_una: u32,
    /// `rcv_nxt` of the connection.
    pub rcv_nxt: u32,
    /// `copied_seq`: up to where the walsender has read.
    pub copied_seq: u32,
    /// The server's first process.
    pub server: u32,
}

/// A server whose layout the programs do not know.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerMet {
    /// [`StageKind::ServerMet`].
    pub kind: u32,
    /// Its first process.
    pub server: u32,
}

const _: () = assert!(size_of::<StageOffsets>() == 22 * 4);
const _: () = assert!(size_of::<ServerLayout>() == 72);
const _: () = assert!(size_of::<WaitEnded>() == 56);
const _: () = assert!(size_of::<SenderMet>() == 64);
const _: () = assert!(size_of::<WalTaken>() == 40);
const _: () = assert!(size_of::<SegmentReceived>() == 40);
const _: () = assert!(size_of::<ReplyHandled>() == 96);
const _: () = assert!(size_of::<ServerMet>() == 8);

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]` struct of `u32` only.
    unsafe impl aya::Pod for super::StageOffsets {}
    // SAFETY: `#[repr(C)]` struct of `u64` only.
    unsafe impl aya::Pod for super::ServerLayout {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_either_layout_says_of_standbys_is_known_and_nothing_else() {
        assert_eq!(awaits_by_shared(Some(0)), Some(false));
        assert_eq!(awaits_by_shared(Some(1)), None);
        assert_eq!(awaits_by_shared(Some(2)), Some(true));
        assert_eq!(awaits_by_shared(Some(3)), Some(true));
        assert_eq!(awaits_by_shared(None), None);
    }
}
