//! The end of a run: the last readings, and the report that they make.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::Context;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tracer_ebpf::{Kind, Totals, Tuple};

use super::{Session, Surroundings, Traced};
use crate::boundary::Sample;
use crate::clock::now_ns;
use crate::config::Namespaces;
use crate::flow::Unseen;
use crate::inject::FaultReport;
use crate::kernel::sockets;
use crate::probe::Probe;
use crate::process;
use crate::report::{Host, Measured, NamespaceCounts, Report, assemble};

/// How often to look for a moment in which everything can be read.
const LAST_LOOKS: usize = 10;

/// What the last moment of a run looked like.
struct LastLook {
    samples: Vec<Sample>,
    unseen: Vec<Unseen>,
    quiet: bool,
    at_ns: u64,
}

impl Session<'_> {
    /// Takes the last readings and makes the report.
    ///
    /// # Errors
    /// If the kernel's counters or our own cannot be read.
    pub fn finish(mut self, fault: Option<FaultReport>) -> anyhow::Result<Report> {
        let last = self.last_look()?;
        let shown = self.shows_failures();
        for unseen in &last.unseen {
            if self.config.filter.keeps(&unseen.tuple) {
                self.table.add_unseen(last.at_ns, unseen, !shown);
            }
        }
        for index in 0..self.namespaces.len() {
            let handle = &self.namespaces[index].handle;
            let existing = {
                let _inside = handle.enter()?;
                sockets::dump(handle.inode())?
            };
            self.note_connections(&existing);
        }
        self.find_owners();
        let mut namespaces = Vec::with_capacity(self.namespaces.len());
        for (traced, sample) in self.namespaces.iter_mut().zip(&last.samples) {
            let mut totals = sample.totals;
            for unseen in last
                .unseen
                .iter()
                .filter(|unseen| unseen.tuple.netns == traced.counts.inode)
            {
                totals.segments[Kind::Other as usize] += unseen.segments;
                totals.failed_segments[Kind::Other as usize] +=
                    if shown { 0 } else { unseen.segments };
                totals.unseen_segments += unseen.segments;
                totals.bytes += unseen.bytes;
            }
            namespaces.push(NamespaceCounts {
                netns: traced.counts.inode,
                name: traced.counts.name.clone(),
                totals,
                kernel: traced.counts.kernel_counts(sample)?,
            });
        }
        self.add_untraced(&mut namespaces)?;
        let usage = getrusage(UsageWho::RUSAGE_SELF)
            .context("the kernel does not say what this process used")?;
        let cpu_us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        let measured = Measured {
            config: self.config,
            host: host(&self.surroundings, &self.namespaces),
            clock: self.surroundings.clock,
            jiffy_ns: self.surroundings.jiffy_ns,
            start_ns: self.start_ns,
            end_ns: last.at_ns,
            hooks: self.hooks,
            retransmit_err: shown,
            missing: &self.resolved.missing,
            table: &self.table,
            namespaces,
            quiet: last.quiet,
            elsewhere: elsewhere(&self.probe)?,
            gaps: self.probe.gaps()?,
            effort: self
                .probe
                .effort()
                .context("the kernel does not say how often the programs ran")?,
            undecodable: self.undecodable,
            fault,
            cpu: Duration::from_micros(u64::try_from(cpu_us).unwrap_or(0)),
            peak_memory_kib: process::peak_memory_kib()
                .context("the kernel does not say how much memory this process used")?,
            attached: self.attached,
            ready: self.ready,
        };
        Ok(assemble(measured))
    }

    /// With every namespace traced, those that were born meanwhile have totals
    /// and nothing of the kernel's to compare them with.
    fn add_untraced(&self, namespaces: &mut Vec<NamespaceCounts>) -> anyhow::Result<()> {
        if self.config.netns != Namespaces::All {
            return Ok(());
        }
        let known: HashSet<u32> = namespaces.iter().map(|namespace| namespace.netns).collect();
        for netns in self
            .probe
            .namespaces()?
            .into_iter()
            .filter(|netns| !known.contains(netns))
        {
            let totals = self.probe.totals(netns)?;
            if totals != Totals::default() {
                namespaces.push(NamespaceCounts {
                    netns,
                    name: None,
                    totals,
                    kernel: Default::default(),
                });
            }
        }
        Ok(())
    }

    /// Reads both counts, the flows and what no hit showed as of one moment.
    fn last_look(&mut self) -> anyhow::Result<LastLook> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut samples = Vec::with_capacity(self.namespaces.len());
            let mut settled = true;
            for traced in &mut self.namespaces {
                let (sample, quiet) = traced.counts.settle(&self.probe)?;
                settled &= quiet;
                samples.push(sample);
            }
            let flows = self.probe.flows();
            let at_ns = now_ns();
            let quiet = settled && self.still(&samples)?;
            // A dump takes too long for a quiet moment of a storm; without
            // findings it need not have been one.
            let unseen = self.unseen()?;
            let done = quiet && (unseen.is_empty() || self.still(&samples)?);
            if done || tries == LAST_LOOKS {
                self.table.update(at_ns, &flows);
                return Ok(LastLook {
                    samples,
                    unseen,
                    quiet,
                    at_ns,
                });
            }
        }
    }

    /// Whether nothing was retransmitted since these samples were taken.
    fn still(&mut self, samples: &[Sample]) -> anyhow::Result<bool> {
        for (traced, sample) in self.namespaces.iter_mut().zip(samples) {
            if !traced.counts.still(&self.probe, sample)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the tracepoint shows calls that failed.
    fn shows_failures(&self) -> bool {
        self.resolved.offsets.retransmit_has_err == 1
    }

    /// What sockets have retransmitted beyond what was counted for them: calls
    /// that failed after the last hit on kernels that do not show failures, and
    /// hits that the kernel withheld. Sockets that are hit meanwhile are passed
    /// over: at their next hit the same is found.
    fn unseen(&self) -> anyhow::Result<Vec<Unseen>> {
        let before = self.accounted()?;
        let mut found = Vec::new();
        for traced in &self.namespaces {
            let _inside = traced.handle.enter()?;
            for socket in sockets::dump(traced.handle.inode())? {
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

fn host(surroundings: &Surroundings, namespaces: &[Traced]) -> Host {
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    Host {
        name: nix::unistd::gethostname().map_or_else(
            |_| String::new(),
            |name| name.to_string_lossy().into_owned(),
        ),
        kernel: surroundings.release.clone(),
        boot_id: boot_id.map(|id| id.trim_end().to_owned()),
        netns: match namespaces {
            [one] => Some(one.counts.inode),
            _ => None,
        },
        tick_hz: 1e9 / surroundings.jiffy_ns as f64,
    }
}

/// Namespaces that are not traced in which the peers were retransmitted to.
fn elsewhere(probe: &Probe) -> anyhow::Result<Vec<(u32, u64)>> {
    let mut found = Vec::new();
    for netns in probe.namespaces()? {
        let hits = probe.totals(netns)?.elsewhere;
        if hits > 0 {
            found.push((netns, hits));
        }
    }
    Ok(found)
}
