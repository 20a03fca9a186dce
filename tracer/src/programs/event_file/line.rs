//! One event as a line of JSON, and back.

use std::borrow::Cow;
use std::net::IpAddr;
use tracer_core::clock::jiffies_to_ms;

use serde::{Deserialize, Serialize};
use tracer_core::clock::Clock;
use tracer_core::event::Decoded;
use tracer_core::report::endpoint::{Endpoint, endpoints};
use tracer_ebpf::{Event, EventKind, RetransmitKind, Tuple};

/// The unit of a timeout that was read from a line, which has ms: a µs.
pub(crate) const JIFFY_NS: u64 = 1_000;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) time: String,
    time_ns: u64,
    event: Cow<'static, str>,
    local: Endpoint,
    remote: Endpoint,
    netns: u32,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    retransmit: Option<Retransmit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_state: Option<Cow<'static, str>>,
}

/// What only a retransmit has.
#[derive(Debug, Serialize, Deserialize)]
struct Retransmit {
    kind: Cow<'static, str>,
    segments: u32,
    bytes: u32,
    seq: u32,
    end_seq: u32,
    flags: String,
    ca_state: Cow<'static, str>,
    rto_ms: f64,
    backoff: u8,
    cwnd: u32,
    srtt_us: u32,
    /// Absent where the kernel does not say, and in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unacked: Option<u16>,
    /// What the call returned: 0, a negative errno or a positive `NET_XMIT_*`.
    err: i32,
}

pub(crate) fn line(decoded: &Decoded, clock: &Clock, jiffy_ns: u64) -> Line {
    let event = &decoded.event;
    let (local, remote) = endpoints(&event.tuple);
    let retransmit = match (decoded.what, decoded.kind) {
        (EventKind::Retransmit, Some(kind)) => Some(Retransmit {
            kind: kind.name().into(),
            segments: event.segments,
            bytes: event.bytes,
            seq: event.seq,
            end_seq: event.end_seq,
            flags: flags(event.tcp_flags),
            ca_state: ca_state(event.ca_state).into(),
            rto_ms: jiffies_to_ms(event.rto, jiffy_ns),
            backoff: event.backoff,
            cwnd: event.cwnd,
            srtt_us: event.srtt_us,
            unacked: (event.unacked > 0).then_some(event.unacked),
            err: event.err,
        }),
        _ => None,
    };
    let shows_state = matches!(
        decoded.what,
        EventKind::Retransmit | EventKind::State | EventKind::SynAck
    );
    Line {
        time: clock.utc(event.time_ns),
        time_ns: event.time_ns,
        event: decoded.what.name().into(),
        local,
        remote,
        netns: event.tuple.netns,
        retransmit,
        state: shows_state.then(|| state(event.state).into()),
        old_state: (decoded.what == EventKind::State).then(|| state(event.old_state).into()),
    }
}

impl Line {
    /// The event that it describes; `None` if it names something that there is not.
    /// Timeouts are in units of [`JIFFY_NS`].
    pub(crate) fn decoded(&self) -> Option<Decoded> {
        let what = EventKind::ALL
            .into_iter()
            .find(|what| what.name() == self.event)?;
        let mut event = Event {
            time_ns: self.time_ns,
            tuple: Tuple {
                local: octets(self.local.address),
                remote: octets(self.remote.address),
                local_port: self.local.port,
                remote_port: self.remote.port,
                netns: self.netns,
            },
            what: what as u32,
            ..Event::default()
        };
        let index = |names: &[&str], name: Option<&str>| -> Option<u8> {
            let Some(name) = name else { return Some(0) };
            let at = names.iter().position(|one| *one == name)?;
            u8::try_from(at).ok()
        };
        event.state = index(&STATES, self.state.as_deref())?;
        event.old_state = index(&STATES, self.old_state.as_deref())?;
        let kind = match what {
            EventKind::Retransmit => {
                let fields = self.retransmit.as_ref()?;
                let kind = RetransmitKind::ALL
                    .into_iter()
                    .find(|one| one.name() == fields.kind)?;
                event.segments = fields.segments;
                event.bytes = fields.bytes;
                event.seq = fields.seq;
                event.end_seq = fields.end_seq;
                event.tcp_flags = fields.flags.split('|').try_fold(0, |set, name| {
                    if name.is_empty() {
                        return Some(set);
                    }
                    let (bit, _) = FLAGS.iter().find(|(_, one)| *one == name)?;
                    Some(set | bit)
                })?;
                event.ca_state = match &*fields.ca_state {
                    UNKNOWN => u8::MAX,
                    name => index(&CA_STATES, Some(name))?,
                };
                // Saturates; what is no number becomes 0.
                event.rto = (fields.rto_ms * 1e6 / JIFFY_NS as f64).round() as u32;
                event.backoff = fields.backoff;
                event.cwnd = fields.cwnd;
                event.srtt_us = fields.srtt_us;
                event.unacked = fields.unacked.unwrap_or(0);
                event.err = fields.err;
                Some(kind)
            }
            EventKind::SynAck => {
                event.segments = 1;
                Some(RetransmitKind::SynAck)
            }
            _ => None,
        };
        event.kind = kind.map_or(0, |kind| kind as u32);
        Some(Decoded { what, kind, event })
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The flags of a header, each with its bit, in that order.
const FLAGS: [(u16, &str); 8] = [
    (0x01, "FIN"),
    (0x02, "SYN"),
    (0x04, "RST"),
    (0x08, "PSH"),
    (0x10, "ACK"),
    (0x20, "URG"),
    (0x40, "ECE"),
    (0x80, "CWR"),
];

/// Names of the flags that are set.
fn flags(flags: u16) -> String {
    let set = FLAGS.iter().filter(|(bit, _)| flags & bit != 0);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join("|")
}

/// A state of a later kernel's.
const UNKNOWN: &str = "UNKNOWN";

/// Names of
/// [`net/tcp_states.h`](https://github.com/torvalds/linux/blob/v6.12/include/net/tcp_states.h).
const STATES: [&str; 14] = [
    UNKNOWN,
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
    "BOUND_INACTIVE",
];

fn state(state: u8) -> &'static str {
    STATES.get(usize::from(state)).copied().unwrap_or(UNKNOWN)
}

/// Names of `enum tcp_ca_state` in
/// [`uapi/linux/tcp.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/tcp.h#L192).
const CA_STATES: [&str; 5] = ["Open", "Disorder", "CWR", "Recovery", "Loss"];

fn ca_state(state: u8) -> &'static str {
    CA_STATES
        .get(usize::from(state))
        .copied()
        .unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        Clock {
            monotonic_ns: 0,
            realtime: "2026-01-02T03:04:05Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_retransmit_shows_all_that_is_known_of_it() {
        let mut event = Event {
            time_ns: 1_000,
            rto: 52,
            tcp_flags: 0x18,
            state: 1,
            ca_state: 4,
            err: -16,
            ..Event::default()
        };
        event.tuple.local = "10.0.10.3"
            .parse::<std::net::Ipv4Addr>()
            .unwrap()
            .to_ipv6_mapped()
            .octets();
        event.tuple.local_port = 41000;
        let decoded = Decoded {
            what: EventKind::Retransmit,
            kind: Some(RetransmitKind::Rto),
            event,
        };
        let json = serde_json::to_value(line(&decoded, &clock(), 4_000_000)).unwrap();
        assert_eq!(json["event"], "retransmit");
        assert_eq!(
            json["local"],
            serde_json::json!({"address": "10.0.10.3", "port": 41000})
        );
        assert_eq!(json["kind"], "rto");
        assert_eq!(json["rto_ms"], 208.0);
        assert_eq!(json["flags"], "PSH|ACK");
        assert_eq!(json["ca_state"], "Loss");
        assert_eq!(json["err"], -16);
        assert_eq!(json["time"], "2026-01-02T03:04:05.000001Z");
        assert!(json.get("old_state").is_none());
    }

    #[test]
    fn a_state_change_shows_both_states_and_nothing_of_a_retransmit() {
        let event = Event {
            state: 7,
            old_state: 1,
            ..Event::default()
        };
        let decoded = Decoded {
            what: EventKind::State,
            kind: None,
            event,
        };
        let json = serde_json::to_value(line(&decoded, &clock(), 4_000_000)).unwrap();
        assert_eq!(
            (json["old_state"].as_str(), json["state"].as_str()),
            (Some("ESTABLISHED"), Some("CLOSE"))
        );
        assert!(json.get("kind").is_none() && json.get("seq").is_none());
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let mut event = Event {
            time_ns: 1_000,
            segments: 2,
            bytes: 2_896,
            seq: 7,
            end_seq: 2_903,
            rto: 51,
            cwnd: 10,
            srtt_us: 350,
            unacked: 3,
            tcp_flags: 0x11,
            state: 8,
            ca_state: 3,
            backoff: 2,
            err: -16,
            ..Event::default()
        };
        event.tuple.local = octets("10.0.10.3".parse().unwrap());
        event.tuple.remote = octets("fd00:10::2".parse().unwrap());
        event.tuple.local_port = 41_000;
        for what in EventKind::ALL {
            event.what = what as u32;
            let kind = match what {
                EventKind::Retransmit => Some(RetransmitKind::Rack),
                EventKind::SynAck => Some(RetransmitKind::SynAck),
                _ => None,
            };
            event.kind = kind.map_or(0, |kind| kind as u32);
            // Those of a later kernel's as well.
            event.ca_state = if what == EventKind::Retransmit { 5 } else { 3 };
            event.state = if what == EventKind::State { 14 } else { 8 };
            let written = line(&Decoded { what, kind, event }, &clock(), 4_000_000);
            let json = serde_json::to_string(&written).unwrap();
            let read: Line = serde_json::from_str(&json).unwrap();
            let again = read.decoded().unwrap();
            assert_eq!((again.what, again.kind), (what, kind));
            // In another unit, and the same to people.
            let json_again = serde_json::to_string(&line(&again, &clock(), JIFFY_NS));
            assert_eq!(json_again.unwrap(), json);
        }
    }

    #[test]
    fn what_names_nothing_is_no_event() {
        let written = line(
            &Decoded {
                what: EventKind::Retransmit,
                kind: Some(RetransmitKind::Rto),
                event: Event::default(),
            },
            &clock(),
            4_000_000,
        );
        let json = serde_json::to_value(&written).unwrap();
        for (name, value) in [
            ("event", "explosion"),
            ("kind", "soon"),
            ("flags", "FIN|XXX"),
            ("ca_state", "Mood"),
            ("state", "NOWHERE"),
        ] {
            let mut json = json.clone();
            json[name] = value.into();
            let read: Line = serde_json::from_value(json).unwrap();
            assert!(read.decoded().is_none(), "{name}");
        }
    }
}
