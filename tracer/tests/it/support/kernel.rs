//! What the kernel itself says.

use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, Result};
use xtask::testbed::netns::Netns;

/// Counters of a namespace that belong to retransmits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) segments: u64,
    pub(crate) timeouts: u64,
    pub(crate) fast: u64,
    pub(crate) slow_start: u64,
    pub(crate) probes: u64,
    pub(crate) syn: u64,
    /// Calls that sent nothing, because the segment still waits in this host.
    pub(crate) busy: u64,
    /// Segments whose retransmission the host's own queue or firewall refused.
    pub(crate) refused: u64,
}

impl Counters {
    pub(crate) fn read(netns: &Netns) -> Result<Self> {
        let [
            segments,
            timeouts,
            fast,
            slow_start,
            probes,
            syn,
            busy,
            refused,
        ] = netns.counters([
            ("Tcp", "RetransSegs"),
            ("TcpExt", "TCPTimeouts"),
            ("TcpExt", "TCPFastRetrans"),
            ("TcpExt", "TCPSlowStartRetrans"),
            ("TcpExt", "TCPLossProbes"),
            ("TcpExt", "TCPSynRetrans"),
            ("TcpExt", "TCPSpuriousRtxHostQueues"),
            ("TcpExt", "TCPRetransFail"),
        ])?;
        Ok(Self {
            segments,
            timeouts,
            fast,
            slow_start,
            probes,
            syn,
            busy,
            refused,
        })
    }

    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            segments: self.segments - before.segments,
            timeouts: self.timeouts - before.timeouts,
            fast: self.fast - before.fast,
            slow_start: self.slow_start - before.slow_start,
            probes: self.probes - before.probes,
            syn: self.syn - before.syn,
            busy: self.busy - before.busy,
            refused: self.refused - before.refused,
        }
    }
}

/// `RetransSegs`.
pub(crate) fn segments(netns: &Netns) -> Result<u64> {
    netns.counter("Tcp", "RetransSegs")
}

/// `TCPRetransFail`.
pub(crate) fn refused(netns: &Netns) -> Result<u64> {
    netns.counter("TcpExt", "TCPRetransFail")
}

/// What `ss` says of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connection {
    pub(crate) segments: u64,
    pub(crate) bytes: u64,
    /// Not acknowledged yet.
    pub(crate) queued: u64,
}

impl Connection {
    /// What it has sent again since then.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            segments: self.segments - before.segments,
            bytes: self.bytes - before.bytes,
            ..self
        }
    }
}

pub(crate) type Ends = (SocketAddr, SocketAddr);

/// Every connection that may still send, by its own end and its peer's.
pub(crate) fn connections(netns: &Netns) -> Result<HashMap<Ends, Connection>> {
    let states = "-tinOH state connected exclude time-wait exclude fin-wait-2";
    let text = netns.run("ss", &states.split(' ').collect::<Vec<_>>())?;
    text.lines()
        .map(|line| connection(line).with_context(|| format!("ss says {line}")))
        .collect()
}

fn connection(line: &str) -> Option<(Ends, Connection)> {
    let mut words = line.split_whitespace();
    let queued = words.nth(2)?.parse().ok()?;
    let ends = (canonical(words.next()?)?, canonical(words.next()?)?);
    let mut connection = Connection {
        segments: 0,
        bytes: 0,
        queued,
    };
    for word in words {
        // `retrans:` outstanding, a slash, and how many there were.
        if let Some(counts) = word.strip_prefix("retrans:") {
            connection.segments = counts.split_once('/')?.1.parse().ok()?;
        }
        if let Some(bytes) = word.strip_prefix("bytes_retrans:") {
            connection.bytes = bytes.parse().ok()?;
        }
    }
    Some((ends, connection))
}

fn canonical(end: &str) -> Option<SocketAddr> {
    let (address, port) = end.rsplit_once(':')?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr = address.parse().ok()?;
    Some(SocketAddr::new(address.to_canonical(), port.parse().ok()?))
}

/// Packets that a processor of this machine dropped because too many had arrived
/// at once, in whatever namespace: the second column of `softnet_stat`.
pub(crate) fn backlog_drops() -> Result<u64> {
    let text = fs::read_to_string("/proc/net/softnet_stat")?;
    text.lines()
        .map(|line| {
            let dropped = line.split_whitespace().nth(1).context("no column")?;
            Ok(u64::from_str_radix(dropped, 16)?)
        })
        .sum()
}
