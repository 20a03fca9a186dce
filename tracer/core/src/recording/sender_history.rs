//! What a walsender's connection has done: what it took to send, what arrived, and what
//! it read.
//!
//! TCP's sequence numbers join these, whatever TLS makes of the bytes.

use std::collections::VecDeque;

use tracer_ebpf::{ReplyHandled, SegmentReceived, WalTaken};

use crate::recording::connection_progress::{ConnectionProgress, push};
use crate::recording::stage::Moments;

/// WAL that was taken to be sent.
#[derive(Clone, Copy, Debug)]
struct Taken {
    time_ns: u64,
    from_lsn: u64,
    to_lsn: u64,
    /// What was sent before it ends here.
    written: u64,
}

/// A reply that was read.
#[derive(Clone, Copy, Debug)]
struct Reply {
    from_ns: u64,
    /// What was sent by then ends here.
    written: u64,
    /// What was read by then ends here.
    read: u64,
}

/// One connection.
#[derive(Debug, Default)]
pub(crate) struct SenderHistory {
    taken: VecDeque<Taken>,
    progress: ConnectionProgress,
    replies: VecDeque<Reply>,
}

impl SenderHistory {
    /// Whether it was not taken before.
    pub(crate) fn take_wal(&mut self, taken: &WalTaken) -> bool {
        let written = self.progress.outgoing(taken.write_seq);
        // A read that is repeated takes the same again.
        let is_new = |last: &Taken| last.to_lsn < taken.to_lsn;
        let is_new = self.taken.back().is_none_or(is_new);
        if is_new {
            let taken = Taken {
                time_ns: taken.time_ns,
                from_lsn: taken.from_lsn,
                to_lsn: taken.to_lsn,
                written,
            };
            push(&mut self.taken, taken, taken.time_ns, |one| one.time_ns);
        }
        is_new
    }

    pub(crate) fn receive(&mut self, segment: &SegmentReceived) {
        self.progress.receive(segment);
    }

    pub(crate) fn reply(&mut self, reply: &ReplyHandled) {
        self.progress
            .look(reply.to_ns, reply.snd_una, reply.rcv_nxt);
        let reply = Reply {
            from_ns: reply.from_ns,
            written: self.progress.outgoing(reply.write_seq),
            read: self.progress.incoming(reply.copied_seq),
        };
        push(&mut self.replies, reply, reply.from_ns, |one| one.from_ns);
    }

    /// When what a position in the WAL waited for happened, if the reply that was read at
    /// `read_ns` released it.
    pub(crate) fn moments(&self, lsn: u64, read_ns: u64) -> Moments {
        let taken = self.taken_at(lsn);
        let sent = taken.and_then(|at| self.sent(at, read_ns));
        Moments {
            taken_ns: taken.and_then(|at| Some(self.taken.get(at)?.time_ns)),
            acknowledged_ns: sent.and_then(|seq| self.progress.acknowledged_ns(seq)),
            arrived_ns: self.arrived_ns(read_ns),
            read_ns: Some(read_ns),
        }
    }

    /// Which WAL that was taken has the position at its end or within.
    fn taken_at(&self, lsn: u64) -> Option<usize> {
        let at = self.taken.partition_point(|taken| taken.to_lsn < lsn);
        let found = self.taken.get(at)?;
        (found.from_lsn < lsn).then_some(at)
    }

    /// Where what was taken ends in the stream: what is taken next, or was sent by the time of
    /// the reply, comes behind it.
    fn sent(&self, at: usize, read_ns: u64) -> Option<u64> {
        let next = self.taken.get(at.checked_add(1)?);
        if let Some(next) = next.filter(|next| next.time_ns <= read_ns) {
            return Some(next.written);
        }
        let reply = self.replies.get(self.reply_at(read_ns)?)?;
        (reply.written > self.taken.get(at)?.written).then_some(reply.written)
    }

    fn reply_at(&self, read_ns: u64) -> Option<usize> {
        let at = self
            .replies
            .partition_point(|reply| reply.from_ns < read_ns);
        let found = self.replies.get(at)?;
        (found.from_ns == read_ns).then_some(at)
    }

    /// When the reply had arrived, in order, that was read at `read_ns`.
    ///
    /// Several may be read at once. Each has come in a segment of its own, unless it was
    /// retransmitted together with another: the last of them in the last segment.
    fn arrived_ns(&self, read_ns: u64) -> Option<u64> {
        let at = self.reply_at(read_ns)?;
        let read = self.replies.get(at)?.read;
        let is_same = |reply: &&Reply| reply.read == read;
        let behind = self.replies.range(at..).skip(1).take_while(is_same).count();
        let before = self.replies.range(..at).rev().find(|one| !is_same(one));
        let mut found = self.progress.segment_that_brought(read)?;
        for _ in 0..behind {
            // What was there when the segment came is what the one before it brought.
            if before.is_none_or(|before| found.reached <= before.read) {
                break;
            }
            match self.progress.segment_that_brought(found.reached) {
                Some(earlier) => found = earlier,
                None => break,
            }
        }
        Some(found.time_ns)
    }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::StageKind;

    use super::*;
    use crate::recording::connection_progress::{MAX_MOMENTS, REMEMBERED_NS};

    const SOCK: u64 = 7;

    /// A hundred bytes at most.
    fn taken(time_ns: u64, to_lsn: u64, write_seq: u32) -> WalTaken {
        WalTaken {
            kind: StageKind::WalTaken as u32,
            write_seq,
            sock: SOCK,
            time_ns,
            from_lsn: to_lsn.saturating_sub(100),
            to_lsn,
        }
    }

    /// What was so before a segment, which acknowledges all that was sent.
    fn segment(time_ns: u64, snd_una: u32, rcv_nxt: u32) -> SegmentReceived {
        SegmentReceived {
            sock: SOCK,
            time_ns,
            ack_seq: snd_una.wrapping_add(1 << 30),
            snd_una,
            rcv_nxt,
            ..SegmentReceived::default()
        }
    }

    fn reply(from_ns: u64, write_seq: u32, snd_una: u32, copied_seq: u32) -> ReplyHandled {
        ReplyHandled {
            sock: SOCK,
            from_ns,
            to_ns: from_ns + 1,
            write_seq,
            snd_una,
            rcv_nxt: copied_seq,
            copied_seq,
            ..ReplyHandled::default()
        }
    }

    fn moments(taken: u64, acknowledged: u64, arrived: u64, read: u64) -> Moments {
        Moments {
            taken_ns: Some(taken),
            acknowledged_ns: Some(acknowledged),
            arrived_ns: Some(arrived),
            read_ns: Some(read),
        }
    }

    /// From where on sequence numbers are tested: some of them wrap around.
    const STARTS: [u32; 3] = [1_000, u32::MAX - 60, u32::MAX];

    #[test]
    fn a_position_is_followed_from_sending_it_to_the_reply() {
        for start in STARTS {
            let (out, back) = (
                |n: u32| start.wrapping_add(n),
                |n: u32| start.wrapping_add(n),
            );
            let mut history = SenderHistory::default();
            history.take_wal(&taken(10, 100, out(0)));
            history.receive(&segment(20, out(0), back(0)));
            history.reply(&reply(25, out(50), out(50), back(39)));
            history.take_wal(&taken(30, 200, out(50)));
            // Acknowledged without data first, then a reply.
            history.receive(&segment(40, out(50), back(39)));
            history.receive(&segment(60, out(100), back(39)));
            history.reply(&reply(70, out(100), out(100), back(78)));
            assert_eq!(history.moments(150, 70), moments(30, 40, 60, 70), "{start}");
            assert_eq!(history.moments(90, 25).taken_ns, Some(10));
            // What is before all that was taken was not seen.
            assert_eq!(history.moments(0, 25).taken_ns, None);
        }
    }

    #[test]
    fn a_segment_that_changed_nothing_brought_nothing() {
        let mut history = SenderHistory::default();
        history.take_wal(&taken(5, 100, 1_000));
        history.reply(&reply(6, 1_000, 1_000, 500));
        history.take_wal(&taken(10, 200, 1_000));
        // Discarded for its checksum, or behind a gap; then retransmitted.
        history.receive(&segment(20, 1_000, 500));
        history.receive(&segment(220, 1_000, 500));
        history.reply(&reply(230, 1_050, 1_050, 539));
        assert_eq!(history.moments(200, 230), moments(10, 220, 220, 230));
    }

    #[test]
    fn replies_that_are_read_at_once_have_each_its_segment() {
        let mut history = SenderHistory::default();
        history.take_wal(&taken(5, 100, 1_000));
        history.reply(&reply(6, 1_000, 1_000, 500));
        history.take_wal(&taken(10, 200, 1_000));
        // "Written", then "flushed": the walsender runs after both.
        history.receive(&segment(20, 1_000, 500));
        history.receive(&segment(30, 1_050, 539));
        history.reply(&reply(50, 1_050, 1_050, 578));
        history.reply(&reply(52, 1_050, 1_050, 578));
        assert_eq!(history.moments(200, 50).arrived_ns, Some(20));
        assert_eq!(history.moments(200, 52).arrived_ns, Some(30));
        // A third has no segment of its own.
        history.reply(&reply(54, 1_050, 1_050, 578));
        assert_eq!(history.moments(200, 54).arrived_ns, Some(30));
        assert_eq!(history.moments(200, 50).arrived_ns, Some(20));
    }

    #[test]
    fn what_is_sent_on_meanwhile_is_behind_it() {
        let mut history = SenderHistory::default();
        history.take_wal(&taken(5, 100, 1_000));
        history.take_wal(&taken(10, 200, 1_050));
        history.take_wal(&taken(11, 300, 1_100));
        history.receive(&segment(20, 1_050, 500));
        history.receive(&segment(30, 1_100, 500));
        history.reply(&reply(40, 1_150, 1_150, 539));
        assert_eq!(history.moments(200, 40).acknowledged_ns, Some(20));
        assert_eq!(history.moments(300, 40).acknowledged_ns, Some(30));
    }

    #[test]
    fn what_nobody_remembers_is_not_known() {
        let mut history = SenderHistory::default();
        assert_eq!(
            history.moments(1, 5),
            Moments {
                read_ns: Some(5),
                ..Moments::default()
            }
        );
        for number in 0..2 * MAX_MOMENTS as u64 {
            history.take_wal(&taken(number, number, number as u32));
            history.receive(&segment(number, number as u32, number as u32));
            history.reply(&reply(number, number as u32, number as u32, number as u32));
        }
        assert_eq!(history.taken.len(), MAX_MOMENTS);
        assert_eq!(history.replies.len(), MAX_MOMENTS);
        assert_eq!(history.moments(5, 6).taken_ns, None);
    }

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let mut history = SenderHistory::default();
        for at in 1..=10 {
            let number = at as u32;
            let at = at * REMEMBERED_NS / 4;
            history.take_wal(&taken(at, at, number));
            history.receive(&segment(at, number, number));
            history.reply(&reply(at, number, number, number));
        }
        // The last, and what was up to four quarters before it; the last reply was handled a
        // moment later, when the first of the segments was too long ago.
        assert_eq!(history.taken.len(), 5);
        assert_eq!((history.progress.len(), history.replies.len()), (9, 5));
    }

    #[test]
    fn a_stream_of_many_gigabytes_goes_on() {
        let mut history = SenderHistory::default();
        let step = 1 << 30;
        for number in 0..20_u32 {
            let seq = number.wrapping_mul(step);
            let at = u64::from(number) * 100;
            history.take_wal(&taken(at, at, seq));
            history.receive(&segment(at + 10, seq, number * 39));
            history.reply(&reply(
                at + 20,
                seq.wrapping_add(step),
                seq.wrapping_add(step),
                (number + 1) * 39,
            ));
        }
        for number in 1..20 {
            let at = number * 100;
            assert_eq!(
                history.moments(at, at + 20),
                moments(at, at + 10, at + 10, at + 20)
            );
        }
    }
}
