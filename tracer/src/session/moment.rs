//! One moment of a run: both counts of every namespace, the flows, and what no
//! hit showed. A run is what lies between two of them.

use std::collections::HashMap;

use tracer_core::recording::flow_table::Unseen;
use tracer_ebpf::{Flow, Tuple};

use crate::boundary::{Moved, Sample};
use crate::clock::now_ns;
use crate::kernel::sockets;
use crate::session::Session;

/// How often to look for a moment in which everything can be read.
const LOOKS: usize = 10;

/// What was read as of one moment.
pub struct Moment {
    /// Both counts, a namespace each.
    pub samples: Vec<Sample>,
    /// The kernel's flow table.
    pub flows: Vec<Flow>,
    /// What the kernel counted and no hit showed.
    pub unseen: Vec<Unseen>,
    /// Whether all of it truly belongs to one moment.
    pub quiet: bool,
    /// The moment, ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
}

impl Session<'_> {
    /// Reads everything as of one moment, or says that there was none.
    ///
    /// # Errors
    /// If the kernel's counters, its sockets or our own counts cannot be read.
    pub fn moment(&mut self) -> anyhow::Result<Moment> {
        let mut looks = 0;
        loop {
            looks += 1;
            let mut samples = Vec::with_capacity(self.namespaces.len());
            let mut settled = true;
            for traced in &mut self.namespaces {
                let (sample, quiet) = traced.settle(&self.probe)?;
                settled &= quiet;
                samples.push(sample);
            }
            let flows = self.probe.flows();
            let at_ns = now_ns();
            let still = self.moved(&samples)? == Moved::Nothing;
            let unseen = self.unseen()?;
            // A dump takes longer than the gaps of a storm. Where it finds nothing
            // and nothing was found elsewhere meanwhile, there was nothing to find.
            let quiet = settled
                && still
                && match self.moved(&samples)? {
                    Moved::Nothing => true,
                    Moved::Seen => unseen.is_empty(),
                    Moved::Unseen => false,
                };
            // A storm that left no gap for so long will leave none.
            if quiet || !settled || looks == LOOKS {
                return Ok(Moment {
                    samples,
                    flows,
                    unseen,
                    quiet,
                    at_ns,
                });
            }
        }
    }

    /// The most that moved in any namespace since these samples were taken.
    fn moved(&mut self, samples: &[Sample]) -> anyhow::Result<Moved> {
        let mut most = Moved::Nothing;
        for (traced, sample) in self.namespaces.iter_mut().zip(samples) {
            most = most.max(traced.moved(&self.probe, sample)?);
        }
        Ok(most)
    }

    /// What sockets have retransmitted beyond what was counted for them: calls
    /// that failed after the last hit on kernels that do not show failures, and
    /// hits that the kernel withheld. Sockets that are hit meanwhile are passed
    /// over: that hit finds the same.
    fn unseen(&self) -> anyhow::Result<Vec<Unseen>> {
        let before = self.accounted()?;
        let mut found = Vec::new();
        for traced in &self.namespaces {
            let _inside = traced.enter()?;
            for socket in sockets::dump(traced.inode)? {
                let (segments, bytes) = before.get(&socket.tuple).copied().unwrap_or_default();
                let segments = socket.total_retrans.unwrap_or(0).saturating_sub(segments);
                if segments > 0 {
                    found.push(Unseen {
                        tuple: socket.tuple,
                        segments: u64::from(segments),
                        bytes: socket.bytes_retrans.unwrap_or(0).saturating_sub(bytes),
                    });
                }
            }
        }
        if !found.is_empty() {
            let after = self.accounted()?;
            found.retain(|unseen| before.get(&unseen.tuple) == after.get(&unseen.tuple));
        }
        Ok(found)
    }

    /// Segments and bytes of every socket that are already counted, or were
    /// there before.
    fn accounted(&self) -> anyhow::Result<HashMap<Tuple, (u32, u64)>> {
        let mut sums = HashMap::new();
        for (tuple, baseline) in self.probe.baselines()? {
            sums.insert(tuple, (baseline.segments, baseline.bytes));
        }
        for socket in self.probe.sockets()? {
            sums.insert(socket.tuple, (socket.segments, socket.bytes));
        }
        Ok(sums)
    }
}
