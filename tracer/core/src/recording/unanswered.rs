//! Connections from this host that nobody answered, by the service that they went to.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tracer_ebpf::{Flow, RetransmitKind};

use crate::by_kind::sum;

/// Of as many services it is known what became of connections to them.
const MOST_SERVICES: usize = 1_000;

/// Connections to one service that nobody answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unanswered {
    /// How many.
    pub connections: u64,
    /// SYNs that were retransmitted.
    pub segments: u64,
    /// When the first of these was, ns of `CLOCK_MONOTONIC`.
    pub first_ns: u64,
    /// When the last was, likewise.
    pub last_ns: u64,
    /// Whether one of them still waits.
    pub is_going_on: bool,
}

impl Unanswered {
    /// Of one connection, if nothing but its SYN was retransmitted, more than once, and nothing
    /// came back.
    #[must_use]
    pub fn of(flow: &Flow, heard_ns: Option<u64>) -> Option<Self> {
        let of = |kind: RetransmitKind| flow.segments[kind as usize];
        let segments = sum(&flow.segments);
        // A hit that the kernel does not show is of no kind, and a SYN as well if others are.
        let is_unanswered = of(RetransmitKind::Syn) > 0
            && of(RetransmitKind::Syn) + of(RetransmitKind::Other) == segments
            && segments > 1
            && flow.srtt_us == 0
            && flow.resets_received == 0
            && heard(flow, heard_ns).is_none();
        is_unanswered.then_some(Self {
            connections: 1,
            segments,
            first_ns: flow.first_ns,
            last_ns: flow.last_ns,
            is_going_on: flow.closed_ns == 0,
        })
    }

    fn add(&mut self, more: &Self) {
        self.connections += more.connections;
        self.segments += more.segments;
        self.first_ns = self.first_ns.min(more.first_ns);
        self.last_ns = self.last_ns.max(more.last_ns);
        self.is_going_on |= more.is_going_on;
    }
}

/// When the peer of a flow was last heard from, as far as that is known.
fn heard(flow: &Flow, heard_ns: Option<u64>) -> Option<u64> {
    let answered_ns = Some(flow.answered_ns).filter(|at_ns| *at_ns != 0);
    heard_ns.max(answered_ns)
}

/// By service, what became of connections to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceAnswers {
    unanswered: BTreeMap<SocketAddr, Unanswered>,
    heard: BTreeMap<SocketAddr, u64>,
    /// When one of those beyond the first thousand was last heard from.
    others_heard_ns: u64,
    has_others: bool,
}

impl ServiceAnswers {
    /// Takes in a connection to a service, and when its peer was last heard from.
    pub fn add(&mut self, service: SocketAddr, flow: &Flow, heard_ns: Option<u64>) {
        if let Some(one) = Unanswered::of(flow, heard_ns) {
            let has_room = self.unanswered.len() < MOST_SERVICES;
            match self.unanswered.get_mut(&service) {
                Some(all) => all.add(&one),
                None if has_room => drop(self.unanswered.insert(service, one)),
                None => self.has_others = true,
            }
        }
        if let Some(at_ns) = heard(flow, heard_ns) {
            self.hear(service, at_ns);
        }
    }

    /// Notes that a service was heard from, ns of `CLOCK_MONOTONIC`.
    pub fn hear(&mut self, service: SocketAddr, at_ns: u64) {
        let has_room = self.heard.len() < MOST_SERVICES;
        let known = match self.heard.get_mut(&service) {
            Some(known) => known,
            None if has_room => self.heard.entry(service).or_default(),
            None => &mut self.others_heard_ns,
        };
        *known = at_ns.max(*known);
    }

    /// The services that were not heard from since the first SYN that they did not answer.
    pub fn silent(&self) -> impl Iterator<Item = (SocketAddr, &Unanswered)> {
        let services = self.unanswered.iter();
        let silent = services.filter(|(service, one)| {
            // One that there was no room for may have been this one.
            let heard_ns = self.heard.get(service).unwrap_or(&self.others_heard_ns);
            *heard_ns <= one.first_ns
        });
        silent.map(|(service, one)| (*service, one))
    }

    /// Whether every connection that nobody answered is among them.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.has_others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(number: usize) -> SocketAddr {
        let port = u16::try_from(number).unwrap();
        SocketAddr::from(([10, 0, 0, 2], port))
    }

    /// A connection whose SYN was sent again twice from then on.
    fn syns(first_ns: u64) -> Flow {
        let mut flow = Flow {
            first_ns,
            last_ns: first_ns + 3,
            ..Flow::default()
        };
        flow.segments[RetransmitKind::Syn as usize] = 2;
        flow
    }

    #[test]
    fn a_service_that_was_heard_from_later_is_not_silent() {
        let mut answers = ServiceAnswers::default();
        answers.add(service(1), &syns(10), None);
        answers.add(service(1), &syns(5), None);
        answers.add(service(2), &syns(10), None);
        answers.hear(service(1), 4);
        answers.hear(service(2), 11);
        let silent: Vec<_> = answers.silent().collect();
        let all = Unanswered {
            connections: 2,
            segments: 4,
            first_ns: 5,
            last_ns: 13,
            is_going_on: true,
        };
        assert_eq!(silent, [(service(1), &all)]);
    }

    #[test]
    fn an_answer_that_is_not_known_to_be_anothers_may_be_any_services() {
        let mut answers = ServiceAnswers::default();
        answers.add(service(60_000), &syns(10), None);
        answers.add(service(60_001), &syns(3_000), None);
        for number in 1..=MOST_SERVICES + 1 {
            answers.hear(service(number), number as u64);
        }
        let silent: Vec<_> = answers.silent().map(|(service, _)| service).collect();
        assert_eq!(silent, [service(60_001)]);
        assert!(answers.is_complete());
        for number in 1..=MOST_SERVICES {
            answers.add(service(number), &syns(5_000), None);
        }
        assert!(!answers.is_complete());
    }
}
