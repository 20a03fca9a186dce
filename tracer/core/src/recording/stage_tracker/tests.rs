//! Waits and walsenders, as records that are made up.

use tracer_ebpf::{SegmentReceived, WalTaken};

use super::*;

const SERVER: u32 = 100;
const ON: u32 = 3;

/// Two standbys of one server, as their records come.
struct Run {
    tracker: StageTracker,
    slow_ns: u64,
    write_seq: [u32; 2],
    read_seq: [u32; 2],
    sent: [u64; 2],
    released: [u64; WAIT_MODES],
}

impl Run {
    fn new(slow_ns: u64) -> Self {
        let mut run = Self {
            tracker: StageTracker::default(),
            slow_ns,
            write_seq: [5_000; 2],
            read_seq: [9_000; 2],
            sent: [0; 2],
            released: [0; WAIT_MODES],
        };
        for standby in 0..2 {
            run.connect(standby, 200 + standby as u32);
            // Before it is followed.
            run.send(standby, 1, 1);
            run.reply(standby, 2, [1; WAIT_MODES]);
        }
        run
    }

    fn sock(standby: usize) -> u64 {
        0xffff_0000 + standby as u64
    }

    fn connect(&mut self, standby: usize, pid: u32) {
        let mut remote = [0; 16];
        remote[15] = standby as u8;
        self.tracker.note(&StageRecord::SenderMet(SenderMet {
            pid,
            server: SERVER,
            sock: Self::sock(standby),
            tuple: Tuple {
                remote,
                ..Tuple::default()
            },
            ..SenderMet::default()
        }));
    }

    fn send(&mut self, standby: usize, time_ns: u64, lsn: u64) {
        self.tracker.note(&StageRecord::WalTaken(WalTaken {
            sock: Self::sock(standby),
            time_ns,
            from_lsn: self.sent[standby],
            to_lsn: lsn,
            write_seq: self.write_seq[standby],
            ..WalTaken::default()
        }));
        self.write_seq[standby] += 100;
        self.sent[standby] = lsn;
    }

    /// Its reply arrives at once, with the acknowledgement, and is read then.
    fn reply(&mut self, standby: usize, from_ns: u64, released: [u64; WAIT_MODES]) {
        let sock = Self::sock(standby);
        self.tracker
            .note(&StageRecord::SegmentReceived(SegmentReceived {
                sock,
                time_ns: from_ns - 1,
                ack_seq: self.write_seq[standby],
                snd_una: self.write_seq[standby] - 100,
                rcv_nxt: self.read_seq[standby],
                ..SegmentReceived::default()
            }));
        self.read_seq[standby] += 39;
        self.tracker.note(&StageRecord::ReplyHandled(ReplyHandled {
            sock,
            server: SERVER,
            from_ns,
            to_ns: from_ns + 1,
            write_seq: self.write_seq[standby],
            snd_una: self.write_seq[standby],
            rcv_nxt: self.read_seq[standby],
            copied_seq: self.read_seq[standby],
            before: self.released,
            released,
            ..ReplyHandled::default()
        }));
        self.released = released;
    }

    fn wait(&mut self, from_ns: u64, to_ns: u64, lsn: u64, synchronous_commit: u32) {
        self.tracker.note(&StageRecord::WaitEnded(WaitEnded {
            pid: 300,
            server: SERVER,
            synchronous_commit,
            start_ns: from_ns - 5,
            from_ns,
            to_ns,
            lsn,
            is_commit: 1,
            is_slow: u32::from(to_ns - (from_ns - 5) >= self.slow_ns),
            ..WaitEnded::default()
        }));
    }

    fn finish(self) -> CommitStages {
        self.tracker.finish()
    }
}

fn waits(found: &CommitStages) -> Vec<u64> {
    found.senders.iter().map(|one| one.waits).collect()
}

#[test]
fn the_reply_that_completes_the_quorum_decides() {
    let mut run = Run::new(u64::MAX);
    run.send(0, 1_000, 50);
    run.send(1, 1_000, 50);
    // One alone releases nobody.
    run.reply(0, 1_100, [50, 1, 1]);
    run.reply(1, 1_300, [50, 50, 1]);
    // What comes later has no part in it.
    run.reply(0, 1_310, [50, 50, 50]);
    run.wait(1_010, 1_400, 40, ON);
    let found = run.finish();
    assert_eq!(waits(&found), [0, 1]);
    let sums = found.senders[1].stages.map(|stage| stage.sum_ns());
    // Sent before, the reply arrived with the acknowledgement, and was read 1 ns later.
    assert_eq!(sums, [0, 289, 0, 1, 100, 0]);
    assert!(found.unreleased.is_empty());
}

#[test]
fn what_is_awaited_decides_which_reply_it_was() {
    for (synchronous_commit, standby) in [(2, Some(0)), (3, Some(1)), (4, Some(0)), (1, None)] {
        let mut run = Run::new(u64::MAX);
        run.send(0, 1_000, 50);
        run.send(1, 1_000, 50);
        run.reply(0, 1_100, [50, 1, 1]);
        run.reply(1, 1_200, [50, 50, 1]);
        run.reply(0, 1_300, [50, 50, 50]);
        run.wait(1_010, 1_400, 50, synchronous_commit);
        let mut expected = vec![0, 0];
        if let Some(standby) = standby {
            let at: usize = standby;
            expected[at] = 1;
        }
        assert_eq!(waits(&run.finish()), expected, "{synchronous_commit}");
    }
}

#[test]
fn what_no_reply_released_is_unexplained() {
    let mut run = Run::new(u64::MAX);
    run.send(0, 1_000, 50);
    // Cancelled, long before the reply.
    run.wait(1_010, 1_010 + NOBODY_NS, 50, ON);
    // As long as it takes to see that nobody is to be waited for.
    run.wait(1_010, 1_009 + NOBODY_NS, 50, ON);
    run.reply(0, 5_000_000, [50, 50, 50]);
    let found = run.finish();
    assert_eq!(waits(&found), [0, 0]);
    assert_eq!(found.unreleased[&SERVER].waits.count(), 1);
    assert_eq!(found.unreleased[&SERVER].waits.sum_ns(), NOBODY_NS);
}

#[test]
fn what_was_lost_is_joined_with_nothing() {
    let mut run = Run::new(0);
    run.send(0, 1_000, 50);
    run.wait(1_010, 1_010 + NOBODY_NS, 50, ON);
    // For nobody: `synchronous_commit = local`.
    run.wait(1_010, 1_010 + NOBODY_NS, 50, 1);
    run.tracker.lose();
    // What released this one was lost, too: a later reply did not.
    run.released = [50; WAIT_MODES];
    run.reply(0, 1_100, [60, 60, 60]);
    run.wait(1_010, 1_010 + NOBODY_NS, 45, ON);
    let found = run.finish();
    assert_eq!(waits(&found), [0, 0]);
    assert_eq!(found.unreleased[&SERVER].waits.count(), 2);
    let slow: Vec<_> = found.slow.values().collect();
    assert!(slow.iter().all(|one| one.sender.is_none()), "{slow:?}");
}

#[test]
fn a_walsender_that_comes_back_is_the_same_standby() {
    let mut run = Run::new(u64::MAX);
    for (pid, at) in [(200, 1_000), (210, 2_000)] {
        run.connect(0, pid);
        run.send(0, at, at - 10);
        run.reply(0, at + 10, [at - 10; WAIT_MODES]);
        run.send(0, at + 100, at);
        run.reply(0, at + 200, [at; WAIT_MODES]);
        run.wait(at + 50, at + 300, at, ON);
        run.tracker.settle(u64::MAX);
        let end = |run: &mut Run, now_ns| run.tracker.forget(now_ns, |other| other != pid);
        assert_eq!(end(&mut run, at + 400), [(Run::sock(0), pid)]);
        // It is said once.
        assert!(end(&mut run, at + 500).is_empty());
    }
    let found = run.finish();
    assert_eq!(waits(&found), [2, 0]);
    assert_eq!(found.senders[0].pid, 210);
}

#[test]
fn a_walsender_that_released_nobody_leaves_its_place_to_others() {
    let mut run = Run::new(u64::MAX);
    let other = |number: u32| SenderMet {
        pid: 1_000 + number,
        server: SERVER,
        sock: u64::from(number),
        tuple: Tuple {
            remote: (0x0a01_0000 + u128::from(number)).to_be_bytes(),
            ..Tuple::default()
        },
        ..SenderMet::default()
    };
    // Each takes a backup, and ends.
    for number in 0..300 {
        run.tracker.note(&StageRecord::SenderMet(other(number)));
        let ended = run.tracker.forget(10, |pid| pid < 1_000);
        assert_eq!(ended.len(), 1);
    }
    assert_eq!(run.tracker.found.senders.len(), MAX_SENDERS);
    // One that ends waits has a place of its own, and keeps it.
    let mut met = other(900);
    (met.pid, met.sock) = (500, Run::sock(0));
    run.tracker.note(&StageRecord::SenderMet(met));
    run.send(0, 1_000, 50);
    run.reply(0, 1_100, [50; WAIT_MODES]);
    run.send(0, 1_200, 60);
    run.reply(0, 1_300, [60; WAIT_MODES]);
    run.wait(1_210, 1_400, 60, ON);
    run.tracker.settle(u64::MAX);
    run.tracker.forget(20, |pid| pid != 500);
    for number in 300..600 {
        run.tracker.note(&StageRecord::SenderMet(other(number)));
        run.tracker.forget(30, |pid| pid < 1_000);
    }
    let found = run.finish();
    let own = found.senders.iter().filter(|one| one.waits > 0);
    let own: Vec<_> = own.map(|one| (one.pid, one.waits)).collect();
    assert_eq!((own, found.senders_full), (vec![(500, 1)], 0));
    assert!(found.unreleased.is_empty());
}

#[test]
fn more_walsenders_at_a_time_than_there_is_room_for_are_counted() {
    let mut tracker = StageTracker::default();
    for number in 0..MAX_SENDERS as u32 + 3 {
        tracker.note(&StageRecord::SenderMet(SenderMet {
            pid: 1_000 + number,
            server: SERVER,
            sock: u64::from(number),
            tuple: Tuple {
                remote: u128::from(number).to_be_bytes(),
                ..Tuple::default()
            },
            ..SenderMet::default()
        }));
    }
    let found = tracker.finish();
    assert_eq!((found.senders.len(), found.senders_full), (MAX_SENDERS, 3));
}

#[test]
fn slow_commits_are_kept_by_how_long_they_waited() {
    let mut run = Run::new(100);
    let count = MAX_SLOW as u64 + 10;
    for number in 0..count {
        let at = 10_000 * (number + 1);
        run.send(0, at, at);
        run.reply(0, at + 1_000 + number, [at; WAIT_MODES]);
        run.wait(at, at + 1_001 + number, at, ON);
    }
    // Quick.
    run.wait(10_000 * (count + 2), 10_000 * (count + 2) + 94, 5, ON);
    let found = run.finish();
    assert_eq!(found.slow.len(), MAX_SLOW);
    let shortest = found
        .slow
        .values()
        .map(|one| one.stages.ns.iter().sum::<u64>());
    assert_eq!(shortest.min(), Some(1_011));
    let all = found.slow.values().all(|one| one.sender == Some(0));
    assert!(all, "each was released by the one standby");
    let slow_ns: u64 = found.senders[0].slow_ns.iter().sum();
    let sums_ns: u64 = found.senders[0].stages.iter().map(Histogram::sum_ns).sum();
    assert_eq!(sums_ns, slow_ns + 94);
}

#[test]
fn a_prepare_waits_for_no_replay() {
    let mut run = Run::new(u64::MAX);
    run.send(0, 1_000, 50);
    run.reply(0, 1_100, [50, 50, 1]);
    run.tracker.note(&StageRecord::WaitEnded(WaitEnded {
        server: SERVER,
        synchronous_commit: 4,
        from_ns: 1_010,
        to_ns: 1_200,
        lsn: 50,
        ..WaitEnded::default()
    }));
    assert_eq!(waits(&run.finish()), [1, 0]);
}

#[test]
fn exchanges_are_those_of_the_last_connection() {
    let mut run = Run::new(1);
    let segment = |run: &mut Run, time_ns: u64, seq: u32, bytes: u32| {
        run.tracker
            .note(&StageRecord::SegmentReceived(SegmentReceived {
                sock: Run::sock(0),
                time_ns,
                seq,
                end_seq: seq.wrapping_add(bytes),
                snd_una: run.write_seq[0],
                rcv_nxt: run.read_seq[0],
                ..SegmentReceived::default()
            }));
    };
    run.send(0, 10, 300);
    // A read that is repeated, as where not all was found in the buffers.
    run.send(0, 11, 300);
    // An acknowledgement alone, and then a reply with the same number.
    segment(&mut run, 20, 777, 0);
    segment(&mut run, 30, 777, 39);
    let kept = |run: &Run, at: usize| {
        let kept = &run.tracker.found.senders[at].exchanges;
        let sorted = |all: &mut dyn Iterator<Item = (u64, u64)>| {
            let mut all: Vec<_> = all.collect();
            all.sort_unstable();
            all
        };
        let (wal, replies) = (&kept.wal, &kept.replies);
        [sorted(&mut wal.moments()), sorted(&mut replies.moments())]
    };
    assert_eq!(kept(&run, 0), [vec![(1, 1), (300, 10)], vec![(777, 30)]]);
    assert_eq!(kept(&run, 1), [vec![(1, 1)], vec![]]);
    // It comes back, and is sent the same again.
    run.tracker.forget(40, |pid| pid != 200);
    run.connect(0, 207);
    run.send(0, 50, 300);
    assert_eq!(kept(&run, 0), [vec![(300, 50)], vec![]]);
}
