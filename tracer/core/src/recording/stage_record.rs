//! What the kernel programs tell of a wait's stages, out of the bytes of their ring buffer.

use tracer_ebpf::{
    ReceiverMet, ReplyHandled, ReplySent, SegmentReceived, SenderMet, ServerMet, StageKind,
    WaitEnded, WalFlushed, WalReceived, WalTaken,
};

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageRecord {
    /// A backend's wait is over.
    WaitEnded(WaitEnded),
    /// A walsender has a connection that was not seen before.
    SenderMet(SenderMet),
    /// A walsender takes WAL to send it.
    WalTaken(WalTaken),
    /// A segment arrived for a walsender or a walreceiver.
    SegmentReceived(SegmentReceived),
    /// A walsender has read a reply.
    ReplyHandled(ReplyHandled),
    /// A server whose layout the programs do not know.
    ServerMet(ServerMet),
    /// A walreceiver has a connection that was not seen before.
    ReceiverMet(ReceiverMet),
    /// A walreceiver has read a message with WAL.
    WalReceived(WalReceived),
    /// A walreceiver has flushed what it has written.
    WalFlushed(WalFlushed),
    /// A walreceiver sends a reply.
    ReplySent(ReplySent),
}

impl StageRecord {
    /// [`None`] of what is none of theirs.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let kind = u32::from_ne_bytes(*bytes.first_chunk()?);
        if kind == StageKind::WaitEnded as u32 {
            read(bytes).map(Self::WaitEnded)
        } else if kind == StageKind::SenderMet as u32 {
            read(bytes).map(Self::SenderMet)
        } else if kind == StageKind::WalTaken as u32 {
            read(bytes).map(Self::WalTaken)
        } else if kind == StageKind::SegmentReceived as u32 {
            read(bytes).map(Self::SegmentReceived)
        } else if kind == StageKind::ReplyHandled as u32 {
            read(bytes).map(Self::ReplyHandled)
        } else if kind == StageKind::ServerMet as u32 {
            read(bytes).map(Self::ServerMet)
        } else if kind == StageKind::ReceiverMet as u32 {
            read(bytes).map(Self::ReceiverMet)
        } else if kind == StageKind::WalReceived as u32 {
            read(bytes).map(Self::WalReceived)
        } else if kind == StageKind::WalFlushed as u32 {
            read(bytes).map(Self::WalFlushed)
        } else if kind == StageKind::ReplySent as u32 {
            read(bytes).map(Self::ReplySent)
        } else {
            None
        }
    }
}

/// Of which any bytes are a value.
trait Plain: Copy {}
impl Plain for WaitEnded {}
impl Plain for SenderMet {}
impl Plain for WalTaken {}
impl Plain for SegmentReceived {}
impl Plain for ReplyHandled {}
impl Plain for ServerMet {}
impl Plain for ReceiverMet {}
impl Plain for WalReceived {}
impl Plain for WalFlushed {}
impl Plain for ReplySent {}

fn read<T: Plain>(bytes: &[u8]) -> Option<T> {
    // SAFETY: `Plain` types are `#[repr(C)]` structs of integers: any bytes are one, and as
    // many are read as there are.
    (bytes.len() == size_of::<T>()).then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_what_its_first_field_and_its_length_say() {
        let taken = WalTaken {
            kind: StageKind::WalTaken as u32,
            write_seq: 7,
            sock: 8,
            time_ns: 9,
            from_lsn: 10,
            to_lsn: 11,
        };
        // SAFETY: a struct of integers without padding.
        let bytes: [u8; 40] = unsafe { std::mem::transmute(taken) };
        let decoded = StageRecord::decode(&bytes);
        assert_eq!(decoded, Some(StageRecord::WalTaken(taken)));
        for length in 0..bytes.len() {
            assert_eq!(StageRecord::decode(&bytes[..length]), None, "{length}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(StageRecord::decode(&longer), None);
        assert_eq!(StageRecord::decode(&[0; 40]), None);
        assert_eq!(StageRecord::decode(&[0xff; 56]), None);
    }
}
