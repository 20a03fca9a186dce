//! How far both directions of a connection were, as segments arrived.
//!
//! TCP's sequence numbers wrap around; here they go on.

use std::collections::VecDeque;

use tracer_ebpf::SegmentReceived;

/// How long what happened is remembered, ns: twice as long as a primary waits for a standby
/// that is silent (`wal_sender_timeout`, 60 s by default).
pub(crate) const REMEMBERED_NS: u64 = 120_000_000_000;
/// The most moments that are remembered: 1 MB.
pub(crate) const MAX_MOMENTS: usize = 32_768;

/// How far both directions were at one moment.
#[derive(Clone, Copy, Debug)]
struct Moment {
    time_ns: u64,
    acknowledged: u64,
    received: u64,
    /// How many moments ago the last segment came that is looked at next; 0 if in this one.
    since_segment: u32,
    /// Up to where that segment acknowledges, if it came in this moment.
    acknowledges: u32,
}

/// No segment has come yet.
const NO_SEGMENT: u32 = u32::MAX;

/// One connection.
#[derive(Debug, Default)]
pub(crate) struct ConnectionProgress {
    moments: VecDeque<Moment>,
    /// The furthest that was seen of what goes out, and of what comes in.
    out: Option<u64>,
    back: Option<u64>,
}

/// A sequence number that goes on where TCP's begins again: the one nearest to what was
/// seen last.
fn unwrapped(last: &mut Option<u64>, seq: u32) -> u64 {
    // Far enough from 0 for what lies before the first.
    let known = last.unwrap_or((1 << 32) + u64::from(seq));
    let ahead = seq.wrapping_sub(known as u32).cast_signed();
    let found = known.saturating_add_signed(ahead.into());
    *last = Some(known.max(found));
    found
}

/// Adds what happened at `time_ns`, and forgets what was long before.
pub(crate) fn push<T>(all: &mut VecDeque<T>, one: T, time_ns: u64, time_of: fn(&T) -> u64) {
    let old = time_ns.saturating_sub(REMEMBERED_NS);
    while all.len() >= MAX_MOMENTS || all.front().is_some_and(|first| time_of(first) < old) {
        all.pop_front();
    }
    all.push_back(one);
}

impl ConnectionProgress {
    /// Where this is in what goes out.
    pub(crate) fn outgoing(&mut self, seq: u32) -> u64 {
        unwrapped(&mut self.out, seq)
    }

    /// Where this is in what comes in.
    pub(crate) fn incoming(&mut self, seq: u32) -> u64 {
        unwrapped(&mut self.back, seq)
    }

    pub(crate) fn receive(&mut self, segment: &SegmentReceived) {
        let acknowledges = Some(segment.ack_seq);
        self.note(
            segment.time_ns,
            segment.snd_una,
            segment.rcv_nxt,
            acknowledges,
        );
    }

    /// How far it was at another moment.
    pub(crate) fn look(&mut self, time_ns: u64, snd_una: u32, rcv_nxt: u32) {
        self.note(time_ns, snd_una, rcv_nxt, None);
    }

    fn note(&mut self, time_ns: u64, snd_una: u32, rcv_nxt: u32, acknowledges: Option<u32>) {
        // Two processors may tell of the same moment in either order.
        let last = self.moments.back().copied();
        let (acknowledged, received) =
            last.map_or((0, 0), |last| (last.acknowledged, last.received));
        let moment = Moment {
            time_ns,
            acknowledged: self.outgoing(snd_una).max(acknowledged),
            received: self.incoming(rcv_nxt).max(received),
            since_segment: match acknowledges {
                Some(_) => 0,
                None => last.map_or(NO_SEGMENT, |last| last.since_segment.saturating_add(1)),
            },
            acknowledges: acknowledges.unwrap_or(0),
        };
        push(&mut self.moments, moment, time_ns, |one| one.time_ns);
    }

    /// Whether everything before `seq` is known to be acknowledged.
    pub(crate) fn has_acknowledged(&self, seq: u64) -> bool {
        self.moments
            .back()
            .is_some_and(|last| last.acknowledged >= seq)
    }

    /// When the segment arrived by which everything before `seq` was acknowledged. [`None`] if the
    /// last one that was seen before that acknowledges less: then what did it was not seen.
    pub(crate) fn acknowledged_ns(&self, seq: u64) -> Option<u64> {
        let moments = &self.moments;
        let after = moments.partition_point(|moment| moment.acknowledged < seq);
        let segment = self.segment_before(after)?;
        // It may have arrived damaged: its number tells nothing of those of other segments.
        let ahead = segment.acknowledges.wrapping_sub(seq as u32).cast_signed();
        (ahead >= 0).then_some(segment.time_ns)
    }

    /// The segment with which everything before `seq` had arrived.
    pub(crate) fn segment_that_brought(&self, seq: u64) -> Option<Segment> {
        let moments = &self.moments;
        self.segment_before(moments.partition_point(|moment| moment.received < seq))
    }

    /// The last segment before a moment. [`None`] if the moment has not come, or was the first.
    /// Found in one step: it is asked for each wait, and of a connection without segments there
    /// are as many other moments as are remembered.
    fn segment_before(&self, moment: usize) -> Option<Segment> {
        if moment >= self.moments.len() {
            return None;
        }
        let before = moment.checked_sub(1)?;
        let since = self.moments.get(before)?.since_segment;
        let at = before.checked_sub(usize::try_from(since).ok()?)?;
        let segment = self.moments.get(at)?;
        Some(Segment {
            time_ns: segment.time_ns,
            reached: segment.received,
            acknowledges: segment.acknowledges,
        })
    }
}

/// A segment that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// When.
    pub(crate) time_ns: u64,
    /// Up to where everything had arrived before it.
    pub(crate) reached: u64,
    /// Up to where it acknowledges.
    acknowledges: u32,
}

#[cfg(test)]
impl ConnectionProgress {
    pub(crate) fn len(&self) -> usize {
        self.moments.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that arrives when so much was acknowledged, and acknowledges so much.
    fn segment(time_ns: u64, snd_una: u32, ack_seq: u32) -> SegmentReceived {
        SegmentReceived {
            time_ns,
            snd_una,
            ack_seq,
            ..SegmentReceived::default()
        }
    }

    #[test]
    fn a_segment_that_acknowledges_less_is_not_what_did_it() {
        for start in [1_000, u32::MAX - 60, u32::MAX] {
            let at = |bytes: u32| start.wrapping_add(bytes);
            let mut progress = ConnectionProgress::default();
            let first = progress.outgoing(start);
            progress.receive(&segment(10, at(0), at(50)));
            // That which acknowledges the rest is lost on the way to userspace.
            progress.look(30, at(100), 0);
            assert_eq!(progress.acknowledged_ns(first + 50), Some(10), "{start}");
            assert_eq!(progress.acknowledged_ns(first + 51), None, "{start}");
            assert_eq!(progress.acknowledged_ns(first + 100), None, "{start}");
        }
    }

    #[test]
    fn a_segment_is_found_in_one_step_however_long_ago_it_came() {
        let mut progress = ConnectionProgress::default();
        let first = progress.outgoing(1_000);
        for time_ns in 0..MAX_MOMENTS as u64 / 2 {
            progress.look(time_ns, 1_000, 0);
        }
        assert_eq!(progress.segment_before(progress.len() - 1), None);
        progress.receive(&segment(500_000, 1_000, 2_000));
        // As many as are remembered beside it: the farthest that one may be.
        for time_ns in 0..MAX_MOMENTS as u64 - 2 {
            progress.look(600_000 + time_ns, 1_000, 0);
        }
        progress.look(900_000, 2_000, 0);
        assert_eq!(progress.len(), MAX_MOMENTS);
        // Each of so many is found: a walk back to it would be a thousand million steps.
        for seq in first + 1..=first + 1_000 {
            assert_eq!(progress.acknowledged_ns(seq), Some(500_000));
        }
        for moment in 1..MAX_MOMENTS {
            let found = progress.segment_before(moment);
            assert_eq!(found.map(|one| one.time_ns), Some(500_000));
        }
        // It is forgotten, and found no more.
        progress.look(900_001, 2_000, 0);
        assert_eq!(progress.segment_before(MAX_MOMENTS - 1), None);
    }
}
