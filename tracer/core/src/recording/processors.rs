//! What the processes of a server had of this host's processors.

/// What all processes of a server had in one interval, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuInterval {
    /// Its start, ns of `CLOCK_MONOTONIC`.
    pub from_ns: u64,
    /// Its end.
    pub at_ns: u64,
    /// Ran.
    pub ran_ns: u64,
    /// Was ready to run, and had no processor.
    pub waited_ns: u64,
}

/// One server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuHistory {
    /// Its first process.
    pub pid: u32,
    /// Where it listens.
    pub port: Option<u16>,
    /// Inode of its network namespace.
    pub netns: Option<u32>,
    /// What it has in common with its standbys and with no other server.
    pub system_identifier: Option<u64>,
    /// Its intervals, in order.
    pub steps: Vec<CpuInterval>,
}

impl CpuHistory {
    /// A process has run.
    pub fn ran(&mut self, ns: u64) {
        if let Some(step) = self.steps.last_mut() {
            step.ran_ns += ns;
        }
    }

    /// A process has waited. The kernel counts it when the wait is over
    /// (`sched_info_dequeue()` and `sched_info_arrive()`): what is longer than the
    /// interval was in those before.
    pub fn waited(&mut self, mut ns: u64) {
        for step in self.steps.iter_mut().rev() {
            if ns == 0 {
                return;
            }
            let here = ns.min(step.at_ns.saturating_sub(step.from_ns));
            step.waited_ns += here;
            ns -= here;
        }
    }
}
