//! What a peer is missing, from single events: each loss recovery begins where the wait began that
//! ended with a retransmit, and ends with the acknowledgement that closes it.
//!
//! Neither is seen itself. What a timer retransmits was missing for as long as
//! that runs at least, and all other for a round trip. The acknowledgement is taken to
//! come one round trip after what was retransmitted last, if nothing was retransmitted after
//! that. A timeout retransmits what is
//! oldest (`tcp_retransmit_timer()`, <https://elixir.bootlin.com/linux/v6.12/source/net/ipv4/tcp_timer.c>):
//! where that comes later in the stream than what was retransmitted before, the hole before
//! was closed.

use std::collections::HashMap;
use std::hash::Hash;

use tracer_ebpf::{Ends, EventKind, RetransmitKind, Tuple};

use crate::event::Decoded;
use crate::interval::Span;

/// The most holes that are remembered of a flow, and the most flows: some 50 MB at worst.
const MOST_HOLES: usize = 5_000;
const MOST_FLOWS: usize = 200;
/// `TCP_RTO_MIN`.
const RTO_MIN_NS: u64 = 200_000_000;
/// What arrives with a bad checksum is taken to be retransmitted within this at first
/// (`TCP_RTO_MIN`, 200 ms, doubled once): when it was, is not seen here.
const NEXT_NS: u64 = 440_000_000;

/// One hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LossRecovery {
    /// Since when something was missing, ns of `CLOCK_MONOTONIC`.
    pub from_ns: u64,
    /// When something was retransmitted or arrived with a bad checksum the last time.
    pub last_ns: u64,
    /// When it was closed, as far as that is known.
    pub to_ns: u64,
    /// How often something was retransmitted, or arrived with a bad checksum.
    pub segments: u64,
    seq: u32,
    next_ns: u64,
}

impl LossRecovery {
    pub(crate) fn span(&self) -> Span {
        Span {
            from_ns: self.from_ns,
            to_ns: self.to_ns,
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct LossRecoveries {
    /// By flow: what this end retransmitted.
    sent: HashMap<Tuple, Vec<LossRecovery>>,
    /// By the connection that its ports name: what arrived with a bad checksum. From then on
    /// until it is retransmitted it is missing here.
    corrupted: HashMap<Ends, Vec<LossRecovery>>,
    dropped: u64,
}

impl LossRecoveries {
    /// Takes in an event; `jiffy_ns` is the unit of its timeout.
    pub fn note(&mut self, decoded: &Decoded, jiffy_ns: u64) {
        let event = &decoded.event;
        match (decoded.what, decoded.kind) {
            (EventKind::BadChecksum, _) => {
                let ends = event.tuple.ends();
                let forgotten = make_room(&mut self.corrupted, &ends);
                let holes = self.corrupted.entry(ends).or_default();
                self.dropped += forgotten + u64::from(!add_corrupted(holes, event.time_ns));
            }
            (
                EventKind::Retransmit,
                Some(
                    kind @ (RetransmitKind::Tlp
                    | RetransmitKind::Rto
                    | RetransmitKind::Fast
                    | RetransmitKind::Rack
                    | RetransmitKind::SlowStart),
                ),
            ) => {
                let rto_ns = u64::from(event.rto) * jiffy_ns;
                let round_ns = u64::from(event.srtt_us) * 1_000;
                let missing_ns = match kind {
                    RetransmitKind::Rto => rto_ns,
                    RetransmitKind::Tlp => probe_ns(rto_ns, round_ns, event.unacked),
                    _ => round_ns,
                };
                let hole = LossRecovery {
                    from_ns: event.time_ns.saturating_sub(missing_ns),
                    last_ns: event.time_ns,
                    to_ns: event.time_ns + round_ns,
                    segments: u64::from(event.segments),
                    seq: event.seq,
                    next_ns: event.time_ns + doubled_ns(rto_ns) + round_ns,
                };
                let forgotten = make_room(&mut self.sent, &event.tuple);
                let holes = self.sent.entry(event.tuple).or_default();
                self.dropped += forgotten + u64::from(!add_sent(holes, hole, kind));
            }
            _ => {}
        }
    }

    /// Of what this end of a flow retransmitted, in order.
    pub(crate) fn of_flow(&self, tuple: &Tuple) -> &[LossRecovery] {
        self.sent.get(tuple).map_or(&[], Vec::as_slice)
    }

    /// Of what arrived with a bad checksum on a flow, in order.
    pub(crate) fn received_on(&self, tuple: &Tuple) -> &[LossRecovery] {
        self.corrupted.get(&tuple.ends()).map_or(&[], Vec::as_slice)
    }

    /// Events that there was no room for.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// When the next timeout comes at the latest after one that took so long: it is twice as
/// far away, and comes a little late.
pub(crate) fn doubled_ns(ns: u64) -> u64 {
    ns.saturating_mul(11) / 5
}

/// How long at least it takes until the tail is retransmitted: two round trips, and where a
/// single segment is in flight as long as its receiver may take to acknowledge it, no
/// longer than a timeout (`tcp_schedule_loss_probe()`,
/// <https://elixir.bootlin.com/linux/v6.12/source/net/ipv4/tcp_output.c>).
fn probe_ns(rto_ns: u64, round_ns: u64, unacked: u16) -> u64 {
    let patience_ns = if unacked == 1 { RTO_MIN_NS } else { 0 };
    rto_ns.min(2 * round_ns + patience_ns)
}

/// Forgets the one that has been well for longest where there is no room for another: a
/// connection that is opened again and again, and loses, must not crowd out one that
/// stays. How many holes those were.
fn make_room<K: Copy + Eq + Hash>(all: &mut HashMap<K, Vec<LossRecovery>>, key: &K) -> u64 {
    if all.contains_key(key) || all.len() < MOST_FLOWS {
        return 0;
    }
    let well_since = |holes: &Vec<LossRecovery>| holes.last().map(|hole| hole.last_ns);
    let oldest = all.iter().min_by_key(|(_, holes)| well_since(holes));
    let oldest = oldest.map(|(key, _)| *key);
    let forgotten = oldest.and_then(|key| all.remove(&key));
    forgotten.map_or(0, |holes| holes.len() as u64)
}

/// False if there is no room.
fn add_sent(holes: &mut Vec<LossRecovery>, hole: LossRecovery, kind: RetransmitKind) -> bool {
    if let Some(last) = holes.last_mut() {
        // Sequence numbers wrap around.
        let later = hole.seq.wrapping_sub(last.seq).cast_signed() > 0;
        let closed = kind == RetransmitKind::Rto && later;
        if hole.last_ns <= last.next_ns && !closed {
            last.last_ns = hole.last_ns;
            last.to_ns = hole.to_ns;
            last.next_ns = hole.next_ns;
            last.segments += hole.segments;
            return true;
        }
    }
    // They are apart.
    let from_ns = hole.from_ns.max(holes.last().map_or(0, |last| last.to_ns));
    push(holes, LossRecovery { from_ns, ..hole })
}

/// What is corrupted again and again is retransmitted ever later.
fn add_corrupted(holes: &mut Vec<LossRecovery>, at_ns: u64) -> bool {
    if let Some(last) = holes.last_mut()
        && at_ns <= last.next_ns
    {
        let apart_ns = at_ns.saturating_sub(last.last_ns);
        last.next_ns = at_ns + NEXT_NS.max(doubled_ns(apart_ns));
        last.last_ns = at_ns;
        last.to_ns = last.next_ns;
        last.segments += 1;
        return true;
    }
    push(
        holes,
        LossRecovery {
            from_ns: at_ns,
            last_ns: at_ns,
            to_ns: at_ns + NEXT_NS,
            next_ns: at_ns + NEXT_NS,
            segments: 1,
            seq: 0,
        },
    )
}

fn push(holes: &mut Vec<LossRecovery>, hole: LossRecovery) -> bool {
    let room = holes.len() < MOST_HOLES;
    if room {
        holes.push(hole);
    }
    room
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::Event;

    use super::*;

    const MS: u64 = 1_000_000;

    /// With a timeout of 200 ms doubled so often, and a round trip of 1 ms.
    fn sent(at_ms: u64, kind: RetransmitKind, seq: u32, backoff: u32) -> Decoded {
        Decoded {
            what: EventKind::Retransmit,
            kind: Some(kind),
            event: Event {
                time_ns: at_ms * MS,
                kind: kind as u32,
                segments: 1,
                seq,
                rto: 200 << backoff,
                srtt_us: 1_000,
                ..Event::default()
            },
        }
    }

    fn corrupted(at_ms: u64) -> Decoded {
        Decoded {
            what: EventKind::BadChecksum,
            kind: None,
            event: Event {
                time_ns: at_ms * MS,
                ..Event::default()
            },
        }
    }

    fn noted(events: &[Decoded]) -> LossRecoveries {
        let mut holes = LossRecoveries::default();
        for event in events {
            holes.note(event, MS);
        }
        holes
    }

    fn spans(holes: &[LossRecovery]) -> Vec<(u64, u64, u64)> {
        let span = |one: &LossRecovery| (one.from_ns / MS, one.to_ns / MS, one.segments);
        holes.iter().map(span).collect()
    }

    #[test]
    fn timeouts_that_double_are_one_hole_until_the_answer_to_the_last() {
        let holes = noted(&[
            sent(1_000, RetransmitKind::Tlp, 10, 0),
            sent(1_200, RetransmitKind::Rto, 10, 0),
            sent(1_600, RetransmitKind::Rto, 10, 1),
            sent(2_400, RetransmitKind::Rto, 10, 2),
            // Long after the next timeout would have come.
            sent(9_000, RetransmitKind::Tlp, 10, 0),
        ]);
        let found = spans(holes.of_flow(&Tuple::default()));
        assert_eq!(found, [(998, 2_401, 4), (8_998, 9_001, 1)]);
    }

    #[test]
    fn what_is_oldest_later_in_the_stream_is_another_hole() {
        let near = u32::MAX - 5;
        let holes = noted(&[
            sent(1_000, RetransmitKind::Rto, near, 0),
            sent(1_300, RetransmitKind::Rto, near.wrapping_add(20), 0),
            // This only says that there is more missing.
            sent(1_350, RetransmitKind::SlowStart, near.wrapping_add(40), 0),
        ]);
        let found = spans(holes.of_flow(&Tuple::default()));
        assert_eq!(found, [(800, 1_001, 1), (1_100, 1_351, 2)]);
    }

    #[test]
    fn what_is_sent_again_was_missing_before() {
        let alone = |mut event: Decoded| {
            event.event.unacked = 1;
            event
        };
        let holes = noted(&[
            sent(1_000, RetransmitKind::Rto, 10, 1),
            sent(4_000, RetransmitKind::Fast, 20, 0),
            sent(6_000, RetransmitKind::Tlp, 30, 0),
            alone(sent(8_000, RetransmitKind::Tlp, 40, 0)),
            // The one before was closed a moment ago.
            sent(8_005, RetransmitKind::Rto, 50, 0),
        ]);
        let found = spans(holes.of_flow(&Tuple::default()));
        let expected = [
            (600, 1_001, 1),
            (3_999, 4_001, 1),
            (5_998, 6_001, 1),
            (7_800, 8_001, 1),
            (8_001, 8_006, 1),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_arrives_corrupted_is_missing_until_it_is_retransmitted() {
        let holes = noted(&[
            corrupted(1_000),
            corrupted(1_400),
            corrupted(2_200),
            corrupted(9_000),
        ]);
        let found = spans(holes.received_on(&Tuple::default()));
        assert_eq!(found, [(1_000, 3_960, 3), (9_000, 9_440, 1)]);
        // Nothing of it was another connection's with the same host.
        let other = Tuple {
            remote_port: 9,
            ..Tuple::default()
        };
        assert!(holes.received_on(&other).is_empty());
    }

    #[test]
    fn what_lost_last_is_remembered_of_many() {
        let mut holes = LossRecoveries::default();
        let of = |port: usize| Tuple {
            local_port: port as u16,
            ..Tuple::default()
        };
        let mut lose = |port, at_ms| {
            let mut event = sent(at_ms, RetransmitKind::Rto, 0, 0);
            event.event.tuple = of(port);
            holes.note(&event, MS);
        };
        // One stays, and loses now and then; the others are opened one after the other.
        for port in 1..=2 * MOST_FLOWS {
            lose(0, 10_000 * port as u64);
            lose(port, 10_000 * port as u64 + 5_000);
        }
        assert_eq!(holes.of_flow(&of(0)).len(), 2 * MOST_FLOWS);
        assert_eq!(holes.of_flow(&of(2 * MOST_FLOWS)).len(), 1);
        assert_eq!(holes.of_flow(&of(1)).len(), 0);
        assert_eq!(holes.dropped(), MOST_FLOWS as u64 + 1);
    }

    #[test]
    fn there_is_room_for_so_many_and_the_rest_is_counted() {
        let mut holes = LossRecoveries::default();
        for number in 0..MOST_HOLES as u64 + 3 {
            holes.note(&sent(number * 10_000, RetransmitKind::Rto, 0, 0), MS);
        }
        assert_eq!(holes.of_flow(&Tuple::default()).len(), MOST_HOLES);
        assert_eq!(holes.dropped(), 3);
    }
}
