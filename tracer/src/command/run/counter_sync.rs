//! Reading our counts and the kernel's as of one moment, and with them the flows and what
//! no hit showed. A run is what lies between two such snapshots.
//!
//! Both counts move independently of the reader, and there is no way to read them at
//! once. But traffic has gaps, even in a storm: two equal pairs of readings with
//! nothing between them belong to one moment.

pub(crate) mod namespace;

use std::collections::HashMap;

use tracer_core::recording::flow_table::Unseen;
use tracer_ebpf::{Flow, Tuple};

use crate::command::run::counter_sync::namespace::{CounterPair, Drift, Namespace};
use crate::kernel::clock::now_ns;
use crate::kernel::sockets::{self, Accounted, SocketInfo};
use crate::programs::Programs;

/// How often to try for a moment in which everything can be read.
const MAX_TRIES: usize = 10;

/// What was read as of one moment.
pub(crate) struct CounterSnapshot {
    /// Both counts, a namespace each.
    pub(crate) pairs: Vec<CounterPair>,
    /// The kernel's flow table.
    pub(crate) flows: Vec<Flow>,
    /// What the kernel counted and no hit showed.
    pub(crate) unseen: Vec<Unseen>,
    /// Whether all of it truly belongs to one moment.
    pub(crate) quiet: bool,
    /// The moment, ns of `CLOCK_MONOTONIC`.
    pub(crate) at_ns: u64,
}

impl CounterSnapshot {
    /// Reads everything as of one moment, or says that there was none.
    pub(crate) fn read(programs: &Programs, namespaces: &mut [Namespace]) -> anyhow::Result<Self> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut pairs = Vec::with_capacity(namespaces.len());
            let mut settled = true;
            for traced in namespaces.iter_mut() {
                let (pair, quiet) = traced.read_quiescent(programs)?;
                settled &= quiet;
                pairs.push(pair);
            }
            let flows = programs.flows();
            let at_ns = now_ns();
            let still = drift(programs, namespaces, &pairs)? == Drift::Nothing;
            let unseen = unseen(programs, namespaces)?;
            // A dump takes longer than the gaps of a storm. Where it finds nothing
            // and nothing was found elsewhere meanwhile, there was nothing to find.
            let quiet = settled
                && still
                && match drift(programs, namespaces, &pairs)? {
                    Drift::Nothing => true,
                    Drift::Seen => unseen.is_empty(),
                    Drift::Unseen => false,
                };
            // A storm that left no gap for so long will leave none.
            if quiet || !settled || tries == MAX_TRIES {
                return Ok(Self {
                    pairs,
                    flows,
                    unseen,
                    quiet,
                    at_ns,
                });
            }
        }
    }
}

/// The largest drift in any namespace since these pairs were read.
fn drift(
    programs: &Programs,
    namespaces: &mut [Namespace],
    since: &[CounterPair],
) -> anyhow::Result<Drift> {
    let mut largest = Drift::Nothing;
    for (traced, pair) in namespaces.iter_mut().zip(since) {
        largest = largest.max(traced.drift(programs, pair)?);
    }
    Ok(largest)
}

/// What sockets have retransmitted beyond what was counted for them: calls
/// that failed after the last hit on kernels that do not show failures, hits that the
/// kernel withheld, and those of sockets that there was no room for. Sockets that are hit
/// meanwhile are passed over: that hit finds the same.
fn unseen(programs: &Programs, namespaces: &[Namespace]) -> anyhow::Result<Vec<Unseen>> {
    let before = SocketSums::read(programs, namespaces)?;
    let mut found = Vec::new();
    for socket in &before.sockets {
        let (segments, bytes) = before.accounted(&socket.tuple);
        let segments = socket.total_retrans.unwrap_or(0).saturating_sub(segments);
        if segments > 0 {
            found.push(Unseen {
                tuple: socket.tuple,
                segments: u64::from(segments),
                bytes: socket.bytes_retrans.unwrap_or(0).saturating_sub(bytes),
            });
        }
    }
    if !found.is_empty() {
        let after = SocketSums::read(programs, namespaces)?;
        found.retain(|one| before.accounted(&one.tuple) == after.accounted(&one.tuple));
    }
    Ok(found)
}

/// The sockets' own sums, and what of them is counted or was there before.
struct SocketSums {
    sockets: Vec<SocketInfo>,
    accounted: HashMap<Tuple, (u32, u64)>,
}

impl SocketSums {
    fn read(programs: &Programs, namespaces: &[Namespace]) -> anyhow::Result<Self> {
        let before = programs.baselines()?.into_iter();
        let before = before.map(|(tuple, one)| (tuple, (one.segments, one.bytes)));
        let table = programs.sockets()?.into_iter();
        let table = table.map(|one| (one.tuple, (one.segments, one.bytes)));
        let mut accounted: HashMap<_, _> = before.chain(table).collect();
        let mut sockets = Vec::new();
        for traced in namespaces {
            let _inside = traced.enter()?;
            sockets.extend(sockets::dump_with(traced.inode, programs.storage())?);
        }
        let remembered = sockets.iter();
        accounted.extend(remembered.filter_map(|socket| {
            let Accounted { segments, bytes } = socket.accounted?;
            Some((socket.tuple, (segments, bytes)))
        }));
        Ok(Self { sockets, accounted })
    }

    /// Segments and bytes.
    fn accounted(&self, tuple: &Tuple) -> (u32, u64) {
        self.accounted.get(tuple).copied().unwrap_or_default()
    }
}
