//! WAL that is followed through a standby, record by record.

use super::*;
use crate::recording::exchange_sample::MomentSample;
use crate::recording::standby_wal::MAX_SLOW;

const PID: u32 = 70;
const SERVER: u32 = 60;
const SOCK: u64 = 7;
const MS: u64 = 1_000_000;

/// A standby whose walreceiver has met its connection.
fn tracker() -> ReceiverTracker {
    let mut tracker = ReceiverTracker::default();
    tracker.follow(PID, SERVER);
    tracker.note(&StageRecord::ReceiverMet(ReceiverMet {
        pid: PID,
        sock: SOCK,
        ..ReceiverMet::default()
    }));
    tracker
}

/// A segment that acknowledges all that was sent, and how far both directions were before it.
fn segment(time_ns: u64, snd_una: u32, rcv_nxt: u32) -> StageRecord {
    StageRecord::SegmentReceived(SegmentReceived {
        sock: SOCK,
        time_ns,
        ack_seq: snd_una + 1_000,
        snd_una,
        rcv_nxt,
        ..SegmentReceived::default()
    })
}

/// A hundred bytes of WAL, by which everything before `copied` was read.
fn message(time_ns: u64, to_lsn: u64, copied: u32, snd_una: u32) -> StageRecord {
    StageRecord::WalReceived(WalReceived {
        pid: PID,
        sock: SOCK,
        time_ns,
        from_lsn: to_lsn - 100,
        to_lsn,
        copied_seq: copied,
        rcv_nxt: copied,
        snd_una,
        ..WalReceived::default()
    })
}

fn flush(from_ns: u64, to_ns: u64) -> StageRecord {
    StageRecord::WalFlushed(WalFlushed {
        pid: PID,
        from_ns,
        to_ns,
        ..WalFlushed::default()
    })
}

fn reply(
    time_ns: u64,
    [flush_lsn, apply_lsn]: [u64; 2],
    write_seq: u32,
    snd_una: u32,
) -> StageRecord {
    StageRecord::ReplySent(ReplySent {
        pid: PID,
        sock: SOCK,
        time_ns,
        write_lsn: flush_lsn,
        flush_lsn,
        apply_lsn,
        write_seq,
        snd_una,
        ..ReplySent::default()
    })
}

/// What is known of the standby when all of this was seen.
fn seen(records: &[StageRecord]) -> StandbyWal {
    let mut tracker = tracker();
    for record in records {
        tracker.note(record);
    }
    tracker.settle(1_000 * MS);
    let mut standbys = tracker.finish();
    standbys.remove(&SERVER).unwrap()
}

fn times(found: &StandbyWal) -> Vec<StageTimes> {
    found.slowest().iter().map(|one| one.stages).collect()
}

/// One message: it arrives at 1 ms, is read at 2, flushed from 5 to 45, the reply is sent at 46
/// and acknowledged at 50; at 60 a reply says that it is replayed.
fn one() -> Vec<StageRecord> {
    vec![
        segment(MS, 5_000, 1_000),
        message(2 * MS, 200, 1_150, 5_000),
        // Written: nothing is flushed by then.
        reply(3 * MS, [100, 100], 5_000, 5_000),
        flush(5 * MS, 45 * MS),
        reply(46 * MS, [200, 100], 5_039, 5_000),
        segment(50 * MS, 5_000, 1_150),
        segment(51 * MS, 5_078, 1_150),
        reply(60 * MS, [200, 200], 5_078, 5_078),
    ]
}

#[test]
fn wal_is_followed_from_its_segment_to_its_replies() {
    let found = seen(&one());
    let ms = |ms: u64| Some(ms * MS);
    assert_eq!(
        times(&found),
        [[ms(1), ms(3), ms(40), ms(1), ms(4), ms(15)]]
    );
    assert_eq!((found.messages, found.bytes), (1, 100));
    let [slow] = &found.slowest()[..] else {
        panic!("{found:?}");
    };
    assert_eq!((slow.start_ns, slow.total_ns, slow.lsn), (MS, 49 * MS, 200));
    for stage in ReceiverStage::ALL {
        assert_eq!(found.stages[stage as usize].count(), 1, "{}", stage.name());
    }
}

#[test]
fn what_another_process_does_is_not_its() {
    let mut records = one();
    for record in &mut records {
        match record {
            StageRecord::WalReceived(one) => one.pid += 1,
            StageRecord::WalFlushed(one) => one.pid += 1,
            StageRecord::ReplySent(one) => one.pid += 1,
            _ => {}
        }
    }
    let found = seen(&records);
    assert_eq!((found.messages, found.slowest()), (0, Vec::new()));
}

#[test]
fn one_flush_is_for_all_that_was_read_before_it() {
    let found = seen(&[
        message(MS, 200, 1_000, 5_000),
        message(2 * MS, 300, 1_100, 5_000),
        flush(3 * MS, 5 * MS),
        // Read meanwhile: the next flush's.
        message(4 * MS, 400, 1_200, 5_000),
        reply(6 * MS, [300, 0], 5_000, 5_000),
        flush(7 * MS, 8 * MS),
        reply(9 * MS, [400, 0], 5_039, 5_000),
    ]);
    let flushed: Vec<_> = times(&found)
        .iter()
        .map(|stages| stages[ReceiverStage::Flush as usize])
        .collect();
    // By their slowness, until the reply, as no acknowledgement was seen: the last, then in order.
    assert_eq!(flushed, [Some(MS), Some(2 * MS), Some(2 * MS)]);
}

#[test]
fn what_lies_there_while_another_flush_goes_on_waits_for_the_disk() {
    let found = seen(&[
        segment(MS, 5_000, 1_000),
        message(2 * MS, 200, 1_150, 5_000),
        segment(10 * MS, 5_000, 1_150),
        // The second message arrives in the midst of the first one's flush.
        flush(3 * MS, 43 * MS),
        reply(44 * MS, [200, 0], 5_000, 5_000),
        message(46 * MS, 300, 1_300, 5_000),
        flush(47 * MS, 87 * MS),
        reply(88 * MS, [300, 0], 5_039, 5_000),
    ]);
    let ms = |ms: u64| Some(ms * MS);
    let [second, _] = times(&found)[..] else {
        panic!("{found:?}");
    };
    assert_eq!(second[..4], [ms(3), ms(1), ms(33 + 40), ms(1)]);
}

#[test]
fn messages_that_are_read_at_once_have_arrived_each_with_its_segment() {
    let found = seen(&[
        segment(MS, 5_000, 1_000),
        message(2 * MS, 200, 1_150, 5_000),
        flush(3 * MS, 43 * MS),
        // Two arrive in the midst of that flush, of 130 bytes each, and are read after it.
        segment(13 * MS, 5_000, 1_150),
        segment(33 * MS, 5_000, 1_280),
        reply(44 * MS, [200, 0], 5_000, 5_000),
        message(46 * MS, 300, 1_410, 5_000),
        message(47 * MS, 400, 1_410, 5_000),
        flush(48 * MS, 88 * MS),
        reply(89 * MS, [400, 0], 5_039, 5_000),
    ]);
    let starts: Vec<u64> = found
        .slowest()
        .iter()
        .map(|one| one.start_ns / MS)
        .collect();
    assert_eq!(starts, [13, 33, 1]);
    let flushes = times(&found).into_iter();
    let flushes: Vec<_> = flushes
        .map(|one| one[ReceiverStage::Flush as usize])
        .collect();
    assert_eq!(flushes, [Some(70 * MS), Some(50 * MS), Some(40 * MS)]);
}

#[test]
fn a_reply_of_which_no_acknowledgement_is_seen_holds_nothing_up() {
    let mut tracker = tracker();
    for record in [
        // Before anything is known of the connection.
        message(MS, 200, 1_000, 5_000),
        reply(2 * MS, [200, 0], 5_000, 5_000),
        message(3 * MS, 300, 1_100, 5_039),
    ] {
        tracker.note(&record);
    }
    tracker.settle(4 * MS);
    assert_eq!(tracker.receivers[&PID].messages.len(), 1);
}

#[test]
fn a_reply_that_is_retransmitted_is_acknowledged_late() {
    let mut records = one();
    records
        .retain(|one| !matches!(one, StageRecord::SegmentReceived(one) if one.time_ns > 49 * MS));
    records.push(segment(800 * MS, 5_000, 1_150));
    records.push(segment(801 * MS, 5_078, 1_150));
    let found = seen(&records);
    let acknowledged = times(&found)[0][ReceiverStage::Acknowledged as usize];
    // The look at 60 ms found it acknowledged: whatever brought that was not seen.
    assert_eq!(acknowledged, None);
    let mut late = one();
    late.truncate(5);
    late.extend([
        segment(800 * MS, 5_000, 1_150),
        segment(801 * MS, 5_078, 1_150),
    ]);
    let acknowledged = times(&seen(&late))[0][ReceiverStage::Acknowledged as usize];
    assert_eq!(acknowledged, Some(754 * MS));
}

#[test]
fn what_was_not_seen_has_no_time() {
    // Over a Unix socket, without a flush.
    let mut read = message(2 * MS, 200, 0, 0);
    let mut replied = reply(7 * MS, [200, 200], 0, 0);
    if let (StageRecord::WalReceived(read), StageRecord::ReplySent(replied)) =
        (&mut read, &mut replied)
    {
        (read.sock, replied.sock) = (0, 0);
    }
    let mut tracker = ReceiverTracker::default();
    tracker.follow(PID, SERVER);
    tracker.note(&read);
    tracker.note(&replied);
    let found = tracker.finish().remove(&SERVER).unwrap();
    let stages = [None, Some(5 * MS), None, None, None, Some(0)];
    // The reply that says both is the end of both.
    assert_eq!(times(&found)[0][..5], stages[..5]);
    assert_eq!(found.stages[ReceiverStage::Apply as usize].count(), 1);
}

#[test]
fn one_that_comes_back_is_the_same_standby() {
    let mut tracker = tracker();
    for record in one() {
        tracker.note(&record);
    }
    assert_eq!(tracker.forget(|_| false), [(SOCK, PID)]);
    assert!(tracker.forget(|_| false).is_empty());
    tracker.follow(PID + 1, SERVER);
    let found = tracker.finish().remove(&SERVER).unwrap();
    assert_eq!((found.pid, found.messages), (Some(PID + 1), 1));
}

#[test]
fn of_too_many_standbys_those_that_have_ended_make_room() {
    let mut tracker = ReceiverTracker::default();
    let receive = |tracker: &mut ReceiverTracker, server: u32| {
        tracker.follow(1_000 + server, server);
        let mut record = message(MS, 200, 0, 0);
        if let StageRecord::WalReceived(message) = &mut record {
            message.pid = 1_000 + server;
        }
        tracker.note(&record);
    };
    let all = MAX_STANDBYS as u32;
    for server in 1..=all {
        receive(&mut tracker, server);
    }
    // All of them run.
    tracker.follow(5_000, 500);
    assert!(!tracker.follows(5_000));
    assert_eq!(tracker.no_room(), 1);
    // 9 ends, then 3. One that received nothing comes and goes before any other.
    tracker.forget(|pid| pid % 1_000 != 9);
    tracker.forget(|pid| pid % 1_000 != 9 && pid % 1_000 != 3);
    tracker.expect(501);
    assert_eq!(tracker.no_room(), 2);
    tracker.forget(|pid| pid != 501);
    tracker.expect(502);
    assert_eq!(tracker.no_room(), 2);
    let kept: Vec<u32> = tracker.finish().into_keys().collect();
    let expected = (1..=all).filter(|server| *server != 9).chain([502]);
    assert_eq!(kept, expected.collect::<Vec<_>>());
}

#[test]
fn memory_is_bounded_though_nothing_is_ever_said_to_be_replayed() {
    let mut tracker = tracker();
    for number in 1..=2 * MAX_MOMENTS as u64 {
        let lsn = number * 100;
        tracker.note(&message(number, lsn, 0, 0));
        tracker.note(&reply(number, [lsn, 0], 0, 0));
    }
    let receiver = &tracker.receivers[&PID];
    assert_eq!(receiver.messages.len(), MAX_MOMENTS);
    assert_eq!(receiver.unapplied.len(), MAX_MOMENTS);
    let found = tracker.finish().remove(&SERVER).unwrap();
    assert_eq!(found.slowest().len(), MAX_SLOW);
    assert_eq!(found.messages, 2 * MAX_MOMENTS as u64);
}

#[test]
fn exchanges_are_never_earlier_than_they_were() {
    let mut records = one();
    // Two messages that are read at once, of a hundred bytes of WAL each: the second segment
    // brought the end of the first of them, and all of the second.
    records.extend([
        segment(70 * MS, 5_117, 1_150),
        segment(71 * MS, 5_117, 1_270),
        message(72 * MS, 300, 1_410, 5_117),
        message(72 * MS, 400, 1_410, 5_117),
        flush(73 * MS, 74 * MS),
        reply(75 * MS, [400, 200], 5_117, 5_117),
        segment(76 * MS, 5_117, 1_410),
        segment(77 * MS, 5_156, 1_410),
    ]);
    let found = seen(&records);
    let moments = |of: &MomentSample| {
        let mut all: Vec<_> = of.moments().collect();
        all.sort_unstable();
        all
    };
    let [first, second] = [70 * MS, 71 * MS];
    assert_eq!(
        moments(&found.exchanges.wal),
        [(200, MS), (300, second), (400, second)]
    );
    // As an estimate, the first of them may have come earlier.
    let estimates = found.slowest();
    let estimate = estimates.iter().find(|one| one.lsn == 300).unwrap();
    assert!(estimate.start_ns <= first, "{estimate:?}");
    assert_eq!(
        moments(&found.exchanges.replies),
        [
            (5_000, 3 * MS),
            (5_039, 46 * MS),
            (5_078, 60 * MS),
            (5_117, 75 * MS)
        ]
    );
}

#[test]
fn what_another_connection_brought_is_no_exchange_of_this_one() {
    let mut tracker = tracker();
    for record in one() {
        tracker.note(&record);
    }
    tracker.settle(1_000 * MS);
    tracker.follow(PID + 1, SERVER);
    let found = tracker.finish().remove(&SERVER).unwrap();
    assert_eq!((found.connections, found.messages), (2, 1));
    assert_eq!(found.exchanges, ExchangeSample::default());
}

#[test]
fn a_reply_that_was_not_acknowledged_by_the_end_may_be_on_its_way() {
    let mut records = one();
    records.extend([
        segment(70 * MS, 5_117, 1_150),
        message(72 * MS, 300, 1_280, 5_117),
        flush(73 * MS, 74 * MS),
        reply(75 * MS, [300, 200], 5_117, 5_117),
    ]);
    let found = seen(&records);
    assert_eq!((found.messages, found.known), (2, Some((100, 200))));
}
