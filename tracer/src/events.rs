//! `--events`: every event as one JSON line.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tracer_ebpf::EventKind;

use crate::clock::Clock;
use crate::decode::Decoded;
use crate::report::{Endpoint, endpoints};

/// Enough for some hundred lines between two writes.
const BUFFER: usize = 64 * 1024;

/// Writes events as they come.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
    clock: Clock,
    jiffy_ns: u64,
}

/// The events cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write --events {path}: {cause}")]
pub struct EventsError {
    path: PathBuf,
    cause: io::Error,
}

/// One line.
#[derive(Debug, Serialize)]
struct Line {
    time: String,
    time_ns: u64,
    event: &'static str,
    local: Endpoint,
    remote: Endpoint,
    netns: u32,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    retransmit: Option<Retransmit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_state: Option<&'static str>,
}

/// What only a retransmit has.
#[derive(Debug, Serialize)]
struct Retransmit {
    kind: &'static str,
    segments: u32,
    bytes: u32,
    seq: u32,
    end_seq: u32,
    flags: String,
    ca_state: &'static str,
    rto_ms: f64,
    backoff: u8,
    cwnd: u32,
    srtt_us: u32,
    /// What the call returned: 0, a negative errno or a positive `NET_XMIT_*`.
    err: i32,
}

impl EventWriter {
    /// Opens the file, emptying it.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn create(path: &Path, clock: Clock, jiffy_ns: u64) -> Result<Self, EventsError> {
        let file = File::create(path).map_err(|cause| EventsError {
            path: path.to_owned(),
            cause,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::with_capacity(BUFFER, file),
            clock,
            jiffy_ns,
        })
    }

    /// Writes one event.
    ///
    /// # Errors
    /// If the file takes no more.
    pub fn write(&mut self, decoded: &Decoded) -> Result<(), EventsError> {
        let line = line(decoded, &self.clock, self.jiffy_ns);
        let written = serde_json::to_writer(&mut self.file, &line).map_err(io::Error::from);
        written
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(|cause| EventsError {
                path: self.path.clone(),
                cause,
            })
    }

    /// Hands over what is buffered.
    ///
    /// # Errors
    /// If the file takes no more.
    pub fn flush(&mut self) -> Result<(), EventsError> {
        self.file.flush().map_err(|cause| EventsError {
            path: self.path.clone(),
            cause,
        })
    }
}

fn line(decoded: &Decoded, clock: &Clock, jiffy_ns: u64) -> Line {
    let event = &decoded.event;
    let (local, remote) = endpoints(&event.tuple);
    let retransmit = match (decoded.what, decoded.kind) {
        (EventKind::Retransmit, Some(kind)) => Some(Retransmit {
            kind: kind.name(),
            segments: event.segments,
            bytes: event.bytes,
            seq: event.seq,
            end_seq: event.end_seq,
            flags: flags(event.tcp_flags),
            ca_state: ca_state(event.ca_state),
            rto_ms: jiffies_to_ms(event.rto, jiffy_ns),
            backoff: event.backoff,
            cwnd: event.cwnd,
            srtt_us: event.srtt_us,
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
        event: decoded.what.name(),
        local,
        remote,
        netns: event.tuple.netns,
        retransmit,
        state: shows_state.then(|| state(event.state)),
        old_state: (decoded.what == EventKind::State).then(|| state(event.old_state)),
    }
}

/// Jiffies as milliseconds.
#[must_use]
pub fn jiffies_to_ms(jiffies: u32, jiffy_ns: u64) -> f64 {
    f64::from(jiffies) * jiffy_ns as f64 / 1e6
}

/// Names of the flags that are set, in the order of the header's bits.
fn flags(flags: u16) -> String {
    const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
    let set = NAMES
        .iter()
        .enumerate()
        .filter(|(bit, _)| flags & (1 << bit) != 0);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join("|")
}

/// Names of
/// [`net/tcp_states.h`](https://github.com/torvalds/linux/blob/v6.12/include/net/tcp_states.h).
fn state(state: u8) -> &'static str {
    const NAMES: [&str; 14] = [
        "UNKNOWN",
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
    NAMES.get(usize::from(state)).copied().unwrap_or("UNKNOWN")
}

/// Names of `enum tcp_ca_state` in
/// [`uapi/linux/tcp.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/tcp.h#L192).
fn ca_state(state: u8) -> &'static str {
    const NAMES: [&str; 5] = ["Open", "Disorder", "CWR", "Recovery", "Loss"];
    NAMES.get(usize::from(state)).copied().unwrap_or("UNKNOWN")
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::{Event, Kind};

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
            kind: Some(Kind::Rto),
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
}
