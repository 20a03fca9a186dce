//! What happened on the wire, one by one: what this end retransmitted, by flow, and what
//! arrived with a bad checksum, by the connection that its ports name. Of each the latest.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use tracer_ebpf::{Ends, EventKind, RetransmitKind, Tuple};

use crate::event::Decoded;
use crate::interval::Span;

/// The most events that are kept of a connection, and the most of these: 5 MB at worst.
const MAX_EVENTS: usize = 1_000;
const MAX_FLOWS: usize = 200;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireEvent {
    /// When, ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// How it was retransmitted; [`None`] if it arrived with a bad checksum.
    pub kind: Option<RetransmitKind>,
    /// How many segments.
    pub segments: u32,
    /// How long the timer had run, if one did, ns: the next one runs twice as long.
    pub timeout_ns: Option<u64>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct WireEvents {
    sent: HashMap<Tuple, VecDeque<WireEvent>>,
    // Which namespace it arrived in is not always known.
    corrupted: HashMap<Ends, VecDeque<WireEvent>>,
}

impl WireEvents {
    /// Takes in an event; `jiffy_ns` is the unit of its timeout.
    pub fn note(&mut self, decoded: &Decoded, jiffy_ns: u64) {
        let event = &decoded.event;
        let of = |kind: Option<RetransmitKind>| WireEvent {
            at_ns: event.time_ns,
            kind,
            segments: event.segments.max(1),
            timeout_ns: (kind == Some(RetransmitKind::Rto))
                .then(|| u64::from(event.rto).saturating_mul(jiffy_ns)),
        };
        match (decoded.what, decoded.kind) {
            (EventKind::BadChecksum, _) => {
                push(&mut self.corrupted, event.tuple.ends(), of(None));
            }
            (EventKind::Retransmit, Some(kind)) => {
                push(&mut self.sent, event.tuple, of(Some(kind)));
            }
            _ => {}
        }
    }

    /// What happened on a flow in a span, in order.
    pub(crate) fn during(&self, tuple: &Tuple, span: Span) -> Vec<WireEvent> {
        let sent = self.sent.get(tuple).into_iter().flatten();
        let corrupted = self.corrupted.get(&tuple.ends()).into_iter().flatten();
        let inside = |one: &&WireEvent| span.from_ns <= one.at_ns && one.at_ns <= span.to_ns;
        let mut found: Vec<WireEvent> = sent.chain(corrupted).filter(inside).copied().collect();
        found.sort_by_key(|one| one.at_ns);
        found
    }
}

/// Forgets the flow on which nothing happened for longest where there is no room for another.
fn push<K: Copy + Eq + Hash>(all: &mut HashMap<K, VecDeque<WireEvent>>, key: K, one: WireEvent) {
    if all.len() >= MAX_FLOWS && !all.contains_key(&key) {
        let last = |events: &VecDeque<WireEvent>| events.back().map(|event| event.at_ns);
        let oldest = all.iter().min_by_key(|(_, events)| last(events));
        if let Some(oldest) = oldest.map(|(key, _)| *key) {
            all.remove(&oldest);
        }
    }
    let events = all.entry(key).or_default();
    if events.len() >= MAX_EVENTS {
        events.pop_front();
    }
    events.push_back(one);
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::Event;

    use super::*;

    fn event(at_ns: u64, port: u16, kind: Option<RetransmitKind>) -> Decoded {
        Decoded {
            what: match kind {
                Some(_) => EventKind::Retransmit,
                None => EventKind::BadChecksum,
            },
            kind,
            event: Event {
                time_ns: at_ns,
                rto: 408,
                segments: 1,
                tuple: Tuple {
                    local_port: port,
                    ..Tuple::default()
                },
                ..Event::default()
            },
        }
    }

    fn tuple(local_port: u16) -> Tuple {
        Tuple {
            local_port,
            ..Tuple::default()
        }
    }

    #[test]
    fn what_happened_on_a_flow_is_in_order() {
        let mut events = WireEvents::default();
        events.note(&event(10, 7, Some(RetransmitKind::Rto)), 1_000);
        events.note(&event(20, 8, Some(RetransmitKind::Rto)), 1_000);
        events.note(&event(15, 7, None), 1_000);
        // On another connection with the same host.
        events.note(&event(16, 9, None), 1_000);
        events.note(&event(40, 7, Some(RetransmitKind::Fast)), 1_000);
        let span = Span {
            from_ns: 10,
            to_ns: 30,
        };
        let found = events.during(&tuple(7), span);
        let told: Vec<_> = found.iter().map(|one| (one.at_ns, one.kind)).collect();
        assert_eq!(told, [(10, Some(RetransmitKind::Rto)), (15, None)]);
        assert_eq!(found[0].timeout_ns, Some(408_000));
        assert_eq!(found[1].timeout_ns, None);
    }

    #[test]
    fn of_too_many_the_latest_are_kept() {
        let mut events = WireEvents::default();
        let all = Span {
            from_ns: 0,
            to_ns: u64::MAX,
        };
        for number in 0..MAX_EVENTS as u64 + 5 {
            events.note(&event(number, 7, Some(RetransmitKind::Rto)), 1);
        }
        assert_eq!(events.during(&tuple(7), all).len(), MAX_EVENTS);
        for port in 0..MAX_FLOWS as u16 {
            let at_ns = 10_000 + u64::from(port);
            events.note(&event(at_ns, 100 + port, Some(RetransmitKind::Rto)), 1);
        }
        assert!(events.during(&tuple(7), all).is_empty());
        assert_eq!(events.during(&tuple(100), all).len(), 1);
    }
}
