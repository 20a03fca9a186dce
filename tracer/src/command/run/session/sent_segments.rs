//! How many segments went to each peer: what sockets say that close, and those that are there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::programs::{Programs, ProgramsError};

/// What the sockets that there are have sent, by peer.
#[derive(Debug, Default)]
pub(crate) struct SentSegments {
    before: BTreeMap<IpAddr, u64>,
    now: BTreeMap<IpAddr, u64>,
}

impl SentSegments {
    /// Takes in those that there are when tracing begins.
    pub(crate) fn note_before(&mut self, sent: BTreeMap<IpAddr, u64>) {
        add(&mut self.before, sent);
    }

    /// Takes in those that there are at its end.
    pub(crate) fn note_now(&mut self, sent: BTreeMap<IpAddr, u64>) {
        add(&mut self.now, sent);
    }

    /// What was sent between the two, with what the programs have read of those that closed.
    pub(crate) fn finish(
        self,
        programs: &Programs,
    ) -> Result<BTreeMap<IpAddr, u64>, ProgramsError> {
        let (closed, is_full) = programs.sent()?;
        let mut sent = closed.clone();
        add(&mut sent, self.now);
        for (peer, segments) in self.before {
            let sent = sent.entry(peer).or_default();
            *sent = sent.saturating_sub(segments);
        }
        // Of those that had no room it is not known.
        sent.retain(|peer, _| !is_full || closed.contains_key(peer));
        Ok(sent)
    }
}

fn add(sums: &mut BTreeMap<IpAddr, u64>, more: BTreeMap<IpAddr, u64>) {
    for (peer, segments) in more {
        *sums.entry(peer).or_default() += segments;
    }
}
