//! What the kernel programs tell of waits for a standby, and of what the standby does with the
//! WAL, as it comes out of the ring buffer.

use tracer_core::recording::receiver_tracker::ReceiverTracker;
use tracer_core::recording::stage_record::StageRecord;
use tracer_core::recording::stage_tracker::StageTracker;
use tracer_core::report::walreceiver::ReceiverStage;
use tracer_ebpf::{
    ReceiverMet, ReplyHandled, ReplySent, SegmentReceived, SenderMet, ServerMet, StageKind,
    WaitEnded, WalFlushed, WalReceived, WalTaken,
};

/// Orders that are no records.
const SETTLE: u32 = 7;
const LOSE: u32 = 8;
const FORGET: u32 = 9;
const FORGET_SERVER: u32 = 10;
/// From here on, records whose kinds begin where the orders do.
const RECEIVER: u32 = 11;
const FOLLOW: u32 = 15;

/// The bytes are records and orders, each with a byte before it that says which, and a record
/// without its first field.
///
/// Each wait is added to one walsender or to none, all of its stages or nothing; and the
/// stages of a commit are no longer than its wait. Of a message that a standby received, the
/// stages up to its reply are no longer than all of it.
pub fn target(mut data: &[u8]) {
    let mut tracker = StageTracker::default();
    let mut receivers = ReceiverTracker::default();
    let mut longest = 0;
    while let Some((order, rest)) = data.split_first() {
        let order = u32::from(*order);
        let kind = match order {
            RECEIVER..FOLLOW => order - RECEIVER + StageKind::ReceiverMet as u32,
            order => order,
        };
        let is_order = kind == order && (SETTLE..=FORGET_SERVER).contains(&kind) || kind == FOLLOW;
        let length = length(kind, is_order);
        let Some((body, rest)) = rest.split_at_checked(length) else {
            break;
        };
        data = rest;
        match kind {
            SETTLE if is_order => {
                tracker.settle(number(body));
                receivers.settle(number(body));
            }
            LOSE if is_order => {
                tracker.lose();
                receivers.lose();
            }
            FORGET if is_order => {
                tracker.forget(number(body), |pid| pid % 2 == 0);
                receivers.forget(|pid| pid % 2 == 0);
            }
            FORGET_SERVER if is_order => tracker.forget_server(number(body) as u32),
            FOLLOW => receivers.follow(number(body) as u32, (number(body) >> 32) as u32),
            _ => {
                let bytes = [&kind.to_ne_bytes(), body].concat();
                let Some(record) = StageRecord::decode(&bytes) else {
                    assert!(kind == 0 || order > FOLLOW, "{kind}");
                    continue;
                };
                if let StageRecord::WaitEnded(wait) = &record {
                    longest = longest.max(wait.to_ns.saturating_sub(wait.from_ns));
                }
                tracker.note(&record);
                receivers.note(&record);
            }
        }
    }
    for standby in receivers.finish().values() {
        for one in standby.slowest() {
            let apply = ReceiverStage::Apply as usize;
            let sum = one.stages.iter().take(apply).flatten();
            let sum = sum.fold(0_u64, |sum, ns| sum.saturating_add(*ns));
            assert!(sum <= one.total_ns, "{one:?}");
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
fn length(kind: u32, is_order: bool) -> usize {
    let record = if is_order {
        return if kind == LOSE { 0 } else { size_of::<u64>() };
    } else if kind == StageKind::WaitEnded as u32 {
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
    } else if kind == StageKind::ReceiverMet as u32 {
        size_of::<ReceiverMet>()
    } else if kind == StageKind::WalReceived as u32 {
        size_of::<WalReceived>()
    } else if kind == StageKind::WalFlushed as u32 {
        size_of::<WalFlushed>()
    } else if kind == StageKind::ReplySent as u32 {
        size_of::<ReplySent>()
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
