//! What the kernel programs tell of waits for a standby, as it comes out of the ring buffer.

use tracer_core::recording::stage_record::StageRecord;
use tracer_core::recording::stage_tracker::StageTracker;
use tracer_ebpf::{
    ReplyHandled, SegmentReceived, SenderMet, ServerMet, StageKind, WaitEnded, WalTaken,
};

/// Orders that are no records.
const SETTLE: u32 = 7;
const LOSE: u32 = 8;
const FORGET: u32 = 9;
const FORGET_SERVER: u32 = 10;

/// The bytes are records and orders, each with a byte before it that says which, and a record
/// without its first field.
///
/// Each wait is added to one walsender or to none, all of its stages or nothing; and the
/// stages of a commit are no longer than its wait.
pub fn target(mut data: &[u8]) {
    let mut tracker = StageTracker::new(1_000);
    let mut longest = 0;
    while let Some((order, rest)) = data.split_first() {
        let kind = u32::from(*order);
        let length = length(kind);
        let Some((body, rest)) = rest.split_at_checked(length) else {
            break;
        };
        data = rest;
        match kind {
            SETTLE => tracker.settle(number(body)),
            LOSE => tracker.lose(),
            FORGET => {
                tracker.forget(number(body), |pid| pid % 2 == 0);
            }
            FORGET_SERVER => tracker.forget_server(number(body) as u32),
            _ => {
                let bytes = [&kind.to_ne_bytes(), body].concat();
                let Some(record) = StageRecord::decode(&bytes) else {
                    assert!(kind == 0 || kind > FORGET_SERVER, "{kind}");
                    continue;
                };
                if let StageRecord::WaitEnded(wait) = &record {
                    longest = longest.max(wait.to_ns.saturating_sub(wait.from_ns));
                }
                tracker.note(&record);
            }
        }
    }
    let found = tracker.finish();
    for sender in &found.senders {
        let counts = sender.stages.iter().map(|stage| stage.count());
        assert!(counts.into_iter().all(|count| count == sender.waits));
    }
    for one in found.slow.values() {
        let whole: u64 = one.stages.ns.iter().sum();
        assert!(whole <= longest, "{one:?}");
        assert!(one.sender.is_none_or(|at| at < found.senders.len()));
    }
}

/// How many bytes follow.
fn length(kind: u32) -> usize {
    let record = if kind == StageKind::WaitEnded as u32 {
        size_of::<WaitEnded>()
    } else if kind == StageKind::SenderMet as u32 {
        size_of::<SenderMet>()
    } else if kind == StageKind::WalTaken as u32 {
        size_of::<WalTaken>()
    } else if kind == StageKind::SegmentReceived as u32 {
        size_of::<SegmentReceived>()
    } else if kind == StageKind::ReplyHandled as u32 {
        size_of::<ReplyHandled>()
    } else if kind == StageKind::ServerMet as u32 {
        size_of::<ServerMet>()
    } else if kind == LOSE {
        return 0;
    } else {
        return size_of::<u64>();
    };
    record - size_of::<u32>()
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk()
        .map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}
