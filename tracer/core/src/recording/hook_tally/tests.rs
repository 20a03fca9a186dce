//! Records as the kernel programs tell them, and what is made of functions that never fire.

use tracer_ebpf::{ReceiverMet, SegmentReceived, WAIT_MODES, WalFlushed, WalsenderHook};

use super::*;

const SERVER: u32 = 7;
const SOCK: u64 = 0xffff_8880;
const RECEIVER: u32 = 9;

fn tally(records: &[StageRecord], calls: [u64; WalsenderHook::COUNT]) -> SeenHooks {
    let mut tally = HookTally::default();
    for record in records {
        tally.note(record);
    }
    let layout = ServerLayout {
        calls,
        ..ServerLayout::default()
    };
    tally.add_calls(SERVER, &layout);
    tally.finish().remove(&SERVER).unwrap()
}

fn met(is_logical: u32) -> StageRecord {
    StageRecord::SenderMet(SenderMet {
        server: SERVER,
        sock: SOCK,
        is_logical,
        ..SenderMet::default()
    })
}

fn taken() -> StageRecord {
    StageRecord::WalTaken(WalTaken {
        sock: SOCK,
        ..WalTaken::default()
    })
}

fn data() -> StageRecord {
    StageRecord::SegmentReceived(SegmentReceived {
        sock: SOCK,
        seq: 10,
        end_seq: 49,
        ..SegmentReceived::default()
    })
}

fn acknowledgement() -> StageRecord {
    StageRecord::SegmentReceived(SegmentReceived {
        sock: SOCK,
        seq: 10,
        end_seq: 10,
        ..SegmentReceived::default()
    })
}

fn handled(released: u64) -> StageRecord {
    StageRecord::ReplyHandled(ReplyHandled {
        sock: SOCK,
        server: SERVER,
        released: [released; WAIT_MODES],
        ..ReplyHandled::default()
    })
}

/// `synchronous_commit`, as the server numbers it.
const LOCAL: u32 = 1;
const ON: u32 = 3;

fn ended(lsn: u64) -> StageRecord {
    StageRecord::WaitEnded(WaitEnded {
        server: SERVER,
        synchronous_commit: ON,
        lsn,
        to_ns: NOBODY_NS,
        ..WaitEnded::default()
    })
}

#[test]
fn a_walsender_whose_functions_fire_is_measured() {
    let commit = |lsn| [taken(), acknowledgement(), data(), handled(lsn), ended(lsn)];
    let records: Vec<_> = [met(0)]
        .into_iter()
        .chain((1..=5).flat_map(commit))
        .collect();
    let seen = tally(&records, [5, 5, 5]).walsenders;
    assert_eq!((seen.waits, seen.confirmed, seen.unhandled), (5, 5, 0));
    assert_eq!(seen.reason("WALRead"), None);
}

#[test]
fn a_release_that_was_inlined_is_told_from_a_standby_that_does_not_reply() {
    let commit = |lsn, arrives| [taken(), arrives, ended(lsn)];
    let records = |arrives| {
        let commits = (1..=5).flat_map(move |lsn| commit(lsn, arrives));
        [met(0)].into_iter().chain(commits).collect::<Vec<_>>()
    };
    let inlined = tally(&records(data()), [5, 0, 0]).walsenders;
    assert_eq!(inlined.unhandled, 4);
    let reason = inlined.reason("WALRead").unwrap();
    assert!(reason.starts_with("SyncRepReleaseWaiters was never called although 5 waits"));
    // Nothing but acknowledgements of the kernel's: who waited gave up.
    let silent = tally(&records(acknowledgement()), [5, 0, 0]).walsenders;
    assert_eq!(silent.reason("WALRead"), None);
}

#[test]
fn a_read_that_was_inlined_is_told_from_a_logical_standby() {
    let commit = |lsn| [data(), handled(lsn), ended(lsn)];
    let records = |is_logical| {
        let commits = (1..=5).flat_map(commit);
        [met(is_logical)]
            .into_iter()
            .chain(commits)
            .collect::<Vec<_>>()
    };
    let inlined = tally(&records(0), [0, 5, 5]).walsenders;
    let reason = inlined.reason("WALReadFromBuffers").unwrap();
    assert!(reason.starts_with("WALReadFromBuffers was never called although a standby"));
    let logical = tally(&records(1), [0, 5, 5]).walsenders;
    assert_eq!(logical.reason("WALReadFromBuffers"), None);
}

/// A walreceiver that reads, writes and replies; what it flushes is seen, or not.
fn receiving(flushes: bool) -> SeenHooks {
    let met = StageRecord::ReceiverMet(ReceiverMet {
        pid: RECEIVER,
        server: SERVER,
        ..ReceiverMet::default()
    });
    let reply = |lsn| {
        StageRecord::ReplySent(ReplySent {
            pid: RECEIVER,
            write_lsn: lsn,
            flush_lsn: lsn,
            ..ReplySent::default()
        })
    };
    let received = |to_lsn| {
        StageRecord::WalReceived(WalReceived {
            pid: RECEIVER,
            to_lsn,
            ..WalReceived::default()
        })
    };
    let flushed = StageRecord::WalFlushed(WalFlushed {
        pid: RECEIVER,
        ..WalFlushed::default()
    });
    let message = |lsn| {
        let flushed = flushes.then_some(flushed);
        [Some(received(lsn)), flushed, Some(reply(lsn))]
    };
    let messages = (11..=15).flat_map(message).flatten();
    let records: Vec<_> = [met, reply(10)].into_iter().chain(messages).collect();
    tally(&records, [0; WalsenderHook::COUNT])
}

#[test]
fn a_flush_that_was_inlined_shows_in_the_replies() {
    assert_eq!(receiving(true).receivers.reason(), None);
    let seen = receiving(false).receivers;
    assert_eq!((seen.messages, seen.replies, seen.flushed), (5, 6, 5));
    let reason = seen.reason().unwrap();
    assert!(reason.starts_with("issue_xlog_fsync was never called although 5 replies"));
}

#[test]
fn where_records_were_lost_nothing_is_said_of_what_they_would_tell() {
    let mut tally = HookTally::default();
    tally.note(&ended(5));
    tally.lose();
    let layout = ServerLayout {
        calls: [3, 3, 3],
        ..ServerLayout::default()
    };
    tally.add_calls(SERVER, &layout);
    let seen = tally.finish().remove(&SERVER).unwrap();
    assert_eq!(seen.walsenders.reason("WALRead"), None);
    assert_eq!(seen.receivers.reason(), None);
}

#[test]
fn what_has_ended_is_forgotten() {
    let mut tally = HookTally::default();
    tally.note(&met(0));
    tally.forget(|_| false);
    assert!(tally.senders.is_empty());
    // Its server's calls are kept.
    assert_eq!(tally.finish()[&SERVER].walsenders.connections, 1);
}

#[test]
fn a_wait_that_is_over_at_once_was_for_nobody() {
    let alone = StageRecord::WaitEnded(WaitEnded {
        server: SERVER,
        synchronous_commit: ON,
        to_ns: NOBODY_NS - 1,
        ..WaitEnded::default()
    });
    let seen = tally(&[alone, alone], [0; 3]).walsenders;
    assert_eq!((seen.waits, seen.reason("WALRead")), (0, None));
}

#[test]
fn who_wants_no_standby_waits_for_none_however_long_it_takes() {
    let local = |lsn| match ended(lsn) {
        StageRecord::WaitEnded(wait) => StageRecord::WaitEnded(WaitEnded {
            synchronous_commit: LOCAL,
            ..wait
        }),
        other => other,
    };
    // Its standby replies all the while, and is not waited for.
    let commit = |lsn| [taken(), data(), local(lsn)];
    let records: Vec<_> = [met(0)]
        .into_iter()
        .chain((1..=5).flat_map(commit))
        .collect();
    let seen = tally(&records, [5, 0, 0]).walsenders;
    assert_eq!((seen.waits, seen.confirmed), (0, 0));
}
