//! The end of a run: the last readings, and the report that they make.

use std::collections::HashSet;

use anyhow::Context;
use tracer_core::assemble;
use tracer_core::recording::Recording;
use tracer_core::recording::database::Record;
use tracer_core::recording::namespace::NamespaceCounts;
use tracer_core::recording::programs::Unwritten;
use tracer_core::report::fault::FaultReport;
use tracer_core::report::{Host, Report};
use tracer_ebpf::{RetransmitKind, Totals};

use crate::boundary::Namespace;
use crate::config::Namespaces;
use crate::kernel::{pidns, sockets};
use crate::probe::Probe;
use crate::process;
use crate::session::{Session, Surroundings};
use tracer_core::report::MissingField;

/// What was done and seen beside the trace.
#[derive(Debug, Default)]
pub struct Beside {
    /// What was broken on purpose.
    pub faults: Vec<FaultReport>,
    /// What was learnt of the database; `None` if nobody asked.
    pub postgres: Option<Record>,
    /// What was learnt of commits, likewise.
    pub commits: Option<tracer_core::recording::commits::Record>,
    /// What servers on this host had of its processors, likewise; or why that is not known.
    pub processors: Option<Result<Vec<tracer_core::recording::processors::Track>, String>>,
    /// Events that `--events` did not get.
    pub unwritten_events: Unwritten,
    /// Lines of the live view that nobody took.
    pub unwritten_lines: Unwritten,
}

impl Session<'_> {
    /// Takes the last readings and makes the report.
    ///
    /// # Errors
    /// If the kernel's counters or our own cannot be read.
    pub fn finish(mut self, beside: Beside) -> anyhow::Result<Report> {
        let last = self.moment()?;
        self.table.update(last.at_ns, &last.flows);
        self.table.identify(process::of_owner);
        let damaged = last
            .samples
            .iter()
            .map(|one| one.totals.selected_bad_checksums);
        let by_peer = self.probe.bad_checksums()?;
        self.damaged.update(last.at_ns, damaged.sum(), &by_peer);
        let shown = self.shows_failures();
        for unseen in &last.unseen {
            if self.config.filter.keeps(&unseen.tuple) {
                self.table.add_unseen(last.at_ns, unseen, !shown);
            }
        }
        for index in 0..self.namespaces.len() {
            let namespace = &self.namespaces[index];
            let existing = {
                let _inside = namespace.enter()?;
                sockets::dump(namespace.inode)?
            };
            self.note_connections(&existing);
        }
        self.find_owners(true);
        let mut namespaces = Vec::with_capacity(self.namespaces.len());
        for (traced, sample) in self.namespaces.iter_mut().zip(&last.samples) {
            let mut totals = sample.totals;
            for unseen in last
                .unseen
                .iter()
                .filter(|unseen| unseen.tuple.netns == traced.inode)
            {
                totals.segments[RetransmitKind::Other as usize] += unseen.segments;
                totals.failed_segments[RetransmitKind::Other as usize] +=
                    if shown { 0 } else { unseen.segments };
                totals.unseen_segments += unseen.segments;
                totals.bytes += unseen.bytes;
            }
            namespaces.push(NamespaceCounts {
                netns: traced.inode,
                name: traced.name.clone(),
                totals,
                kernel: traced.kernel_counts(sample)?,
            });
        }
        self.add_untraced(&mut namespaces)?;
        let mut hooks = self.hooks.iter();
        let sees_bad_checksums = hooks.any(|one| one.name == "tcp_bad_csum" && one.attached);
        let recording = Recording {
            settings: self.config.settings(),
            host: host(&self.surroundings, &self.namespaces),
            clock: self.surroundings.clock,
            jiffy_ns: self.surroundings.jiffy_ns,
            start_ns: self.start_ns,
            end_ns: last.at_ns,
            hooks: self.hooks,
            retransmit_err: shown,
            missing: self
                .resolved
                .missing
                .iter()
                .map(|missing| MissingField {
                    field: missing.field.into(),
                    consequence: missing.consequence.into(),
                })
                .collect(),
            flows: Recording::flows_of(self.table, self.surroundings.jiffy_ns),
            bad_checksums: sees_bad_checksums.then(|| self.damaged.into_steps()),
            holes: self.holes,
            namespaces,
            quiet: self.began_quietly && last.quiet,
            elsewhere: elsewhere(&self.probe)?,
            gaps: self.probe.gaps()?,
            effort: self
                .probe
                .effort()
                .context("the kernel does not say how often the programs ran")?,
            undecodable: self.undecodable,
            unseen_processes: pidns::warning(),
            faults: beside.faults,
            postgres: beside.postgres,
            commits: beside.commits,
            slow_commits: None,
            processors: beside.processors,
            unwritten_events: beside.unwritten_events,
            unwritten_lines: beside.unwritten_lines,
            cpu: process::cpu(),
            peak_memory_kib: process::peak_memory_kib()
                .context("the kernel does not say how much memory this process used")?,
            attached: self.attached,
            ready: self.ready,
        };
        Ok(assemble::assemble(recording))
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

    /// Whether the tracepoint shows calls that failed.
    fn shows_failures(&self) -> bool {
        self.resolved.offsets.retransmit_has_err == 1
    }
}

fn host(surroundings: &Surroundings, namespaces: &[Namespace]) -> Host {
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    Host {
        name: nix::unistd::gethostname().map_or_else(
            |_| String::new(),
            |name| name.to_string_lossy().into_owned(),
        ),
        kernel: surroundings.release.clone(),
        boot_id: boot_id.map(|id| id.trim_end().to_owned()),
        netns: match namespaces {
            [one] => Some(one.inode),
            _ => None,
        },
        tick_hz: Some(1e9 / surroundings.jiffy_ns as f64),
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
