//! How many segments went to each peer: what sockets say that close, and those that are there.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use tracer_core::address::canonical;

use crate::config::Config;
use crate::kernel::sockets::SocketInfo;
use crate::programs::{Programs, ProgramsError};

/// What the sockets that there are have sent, by peer.
#[derive(Debug, Default)]
pub(crate) struct SentSegments {
    before: BTreeMap<IpAddr, u64>,
    now: BTreeMap<IpAddr, u64>,
}

impl SentSegments {
    /// Takes in those that there are when tracing begins.
    pub(crate) fn note_before(&mut self, config: &Config, sockets: &[SocketInfo]) {
        add(&mut self.before, config, sockets);
    }

    /// Takes in those that there are at its end.
    pub(crate) fn note_now(&mut self, config: &Config, sockets: &[SocketInfo]) {
        add(&mut self.now, config, sockets);
    }

    /// What was sent between the two, with what the programs have read of those that closed.
    pub(crate) fn finish(
        self,
        programs: &Programs,
    ) -> Result<BTreeMap<IpAddr, u64>, ProgramsError> {
        let (closed, is_full) = programs.sent()?;
        let mut sent = closed.clone();
        for (peer, segments) in self.now {
            *sent.entry(peer).or_default() += segments;
        }
        for (peer, segments) in self.before {
            let sent = sent.entry(peer).or_default();
            *sent = sent.saturating_sub(segments);
        }
        // Of those that had no room it is not known.
        sent.retain(|peer, _| !is_full || closed.contains_key(peer));
        Ok(sent)
    }
}

fn add(sums: &mut BTreeMap<IpAddr, u64>, config: &Config, sockets: &[SocketInfo]) {
    for socket in sockets.iter().filter(|one| config.filter.keeps(&one.tuple)) {
        if let Some(segments) = socket.segs_out {
            let peer = canonical(Ipv6Addr::from(socket.tuple.remote));
            *sums.entry(peer).or_default() += u64::from(segments);
        }
    }
}
