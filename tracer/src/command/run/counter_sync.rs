//! Reading our counts and the kernel's as of one moment, and with them the flows and what
//! no hit showed. A run is what lies between two such snapshots.
//!
//! Both counts move independently of the reader, and there is no way to read them at
//! once. But traffic has gaps, even in a storm: two equal pairs of readings with
//! nothing between them belong to one moment.

pub(crate) mod namespace;

use std::collections::{HashMap, HashSet};

use tracer_core::recording::flow_table::{FlowTable, Unseen};
use tracer_ebpf::Tuple;

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
    /// What the kernel counted and no hit showed.
    pub(crate) unseen: Vec<Unseen>,
    /// Whether all of it truly belongs to one moment.
    pub(crate) quiet: bool,
    /// The moment, ns of `CLOCK_MONOTONIC`.
    pub(crate) at_ns: u64,
}

impl CounterSnapshot {
    /// Reads everything as of one moment, or says that there was none; the kernel's flow table
    /// into this one.
    pub(crate) fn read(
        programs: &Programs,
        namespaces: &mut [Namespace],
        mut table: Option<&mut FlowTable>,
    ) -> anyhow::Result<Self> {
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
            let at_ns = now_ns();
            if let Some(table) = &mut table {
                let mut reading = table.read(at_ns);
                programs.read_flows(&mut reading)?;
                reading.finish();
            }
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
    let known = InTables::read(programs)?;
    let mut found: Vec<(Unseen, Accounted)> = Vec::new();
    for traced in namespaces {
        let _inside = traced.enter()?;
        let sockets = sockets::each(traced.inode, programs.storage(), |all: &mut Vec<_>, one| {
            let accounted = known.of(one);
            let segments = one.total_retrans.unwrap_or(0);
            let segments = segments.saturating_sub(accounted.segments);
            if segments > 0 {
                let bytes = one.bytes_retrans.unwrap_or(0);
                let unseen = Unseen {
                    tuple: one.tuple,
                    segments: u64::from(segments),
                    bytes: bytes.saturating_sub(accounted.bytes),
                };
                all.push((unseen, accounted));
            }
        });
        found.extend(sockets?);
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let known = InTables::read(programs)?;
    let wanted: HashSet<Tuple> = found.iter().map(|(one, _)| one.tuple).collect();
    let mut after: HashMap<Tuple, Accounted> = HashMap::new();
    for traced in namespaces {
        let _inside = traced.enter()?;
        let sockets = sockets::each(traced.inode, programs.storage(), |all: &mut Vec<_>, one| {
            if wanted.contains(&one.tuple) {
                all.push((one.tuple, known.of(one)));
            }
        });
        after.extend(sockets?);
    }
    let after = |tuple: &Tuple| {
        let open = after.get(tuple).copied();
        open.unwrap_or_else(|| known.of_ends(tuple))
    };
    found.retain(|(one, before)| *before == after(&one.tuple));
    Ok(found.into_iter().map(|(one, _)| one).collect())
}

/// What of sockets is counted or was there before, as far as it is not in the sockets.
struct InTables(HashMap<Tuple, Accounted>);

impl InTables {
    fn read(programs: &Programs) -> anyhow::Result<Self> {
        let accounted = |segments, bytes| Accounted { segments, bytes };
        let before = programs.baselines()?.into_iter();
        let before = before.map(|(tuple, one)| (tuple, accounted(one.segments, one.bytes)));
        let table = programs.sockets()?.into_iter();
        let table = table.map(|one| (one.tuple, accounted(one.segments, one.bytes)));
        Ok(Self(before.chain(table).collect()))
    }

    fn of(&self, socket: &SocketInfo) -> Accounted {
        let within = socket.accounted;
        within.unwrap_or_else(|| self.of_ends(&socket.tuple))
    }

    fn of_ends(&self, tuple: &Tuple) -> Accounted {
        self.0.get(tuple).copied().unwrap_or_default()
    }
}
