//! The end of a run: what runs is ended, the last counts are read, and the report is made.

use std::collections::HashSet;

use anyhow::Context as _;
use tracer_core::assemble;
use tracer_core::recording::Recording;
use tracer_core::recording::database::DatabaseRecord;
use tracer_core::recording::namespace::NamespaceCounts;
use tracer_core::report::{Host, MissingField};
use tracer_ebpf::{Gap, RetransmitKind, Totals};

use crate::command::run::RunContext;
use crate::command::run::counter_sync::CounterSnapshot;
use crate::command::run::counter_sync::namespace::Namespace;
use crate::command::run::outputs::Finished;
use crate::command::run::session::Session;
use crate::command::run::session::connections::Connections;
use crate::command::run::worker::Worker;
use crate::config::Namespaces;
use crate::inject::Schedule;
use crate::kernel::offsets::Missing;
use crate::kernel::{pidns, process};
use crate::postgres::Monitor;
use crate::programs::Programs;
use crate::programs::event_file::EventWriter;

impl Worker<'_> {
    /// Ends all that takes part, and makes the report.
    pub(crate) fn finish(mut self) -> anyhow::Result<Finished> {
        // Before anything that takes time.
        self.cease_fault(true);
        if let Some(exporter) = self.exporter {
            exporter.finish();
        }
        let faults = self.fault.map(Schedule::finish).unwrap_or_default();
        let postgres = self.postgres.map(Monitor::finish).transpose()?;
        let servers = self.servers.finish();
        let events = self.events.map(EventWriter::finish);
        let (unwritten_events, missing_events) = events.unwrap_or_default();
        let unwritten_lines = self.live.unwritten();
        let mut session = self.session;
        let (last, namespaces) = last_counts(&mut session)?;
        let mut hooks = session.hooks.iter();
        let sees_bad_checksums = hooks.any(|one| one.name == "tcp_bad_csum" && one.attached);
        let effort = session.programs.effort();
        let missing = |one: &Missing| MissingField {
            field: one.field.into(),
            consequence: one.consequence.into(),
        };
        let sent = std::mem::take(&mut session.sent).finish(&session.programs)?;
        let table = std::mem::take(&mut session.table);
        let known = postgres.as_ref().map(DatabaseRecord::known);
        let known = known.unwrap_or_default();
        let (flows, groups) = Recording::flows_of(table, &known, session.context.jiffy_ns);
        let recording = Recording {
            settings: session.config.settings(),
            host: host(&session.context, &session.namespaces),
            clock: session.context.clock,
            jiffy_ns: session.context.jiffy_ns,
            start_ns: session.start_ns,
            end_ns: last.at_ns,
            retransmit_err: session.shows_failures(),
            socket_storage: session.programs.storage().is_some(),
            hooks: session.hooks,
            missing: session.resolved.missing.iter().map(missing).collect(),
            flows,
            groups,
            bad_checksums: sees_bad_checksums.then(|| session.bad_checksums.into_steps()),
            holes: session.holes,
            wire: session.wire,
            sent,
            answered: session.programs.answered()?,
            namespaces,
            quiet: session.began_quietly && last.quiet,
            elsewhere: elsewhere(&session.programs)?,
            gaps: session.programs.gaps()?,
            effort: effort.context("the kernel does not say how often the programs ran")?,
            undecodable: session.undecodable,
            unseen_processes: pidns::warning(),
            faults,
            postgres,
            commits: servers.commits,
            slow_commits: None,
            known_servers: Vec::new(),
            processors: servers.processors,
            unwritten_events,
            unwritten_lines,
            cpu: process::cpu(),
            peak_memory_kib: process::peak_memory_kib()
                .context("the kernel does not say how much memory this process used")?,
            attached: session.attached,
            ready: session.ready,
        };
        Ok(Finished {
            report: assemble::assemble(recording),
            live: self.live,
            missing_events,
        })
    }
}

/// Takes the last snapshot, notes what is in it, and gives both counts of every namespace.
fn last_counts(
    session: &mut Session<'_>,
) -> anyhow::Result<(CounterSnapshot, Vec<NamespaceCounts>)> {
    let (table, namespaces) = (&mut session.table, &mut session.namespaces);
    let last = CounterSnapshot::read(&session.programs, namespaces, Some(table))?;
    session.table.identify(process::of_owner);
    let pairs = last.pairs.iter();
    let bad_checksums = pairs.map(|one| one.totals.selected_bad_checksums).sum();
    let by_sender = session.programs.bad_checksums()?;
    let series = &mut session.bad_checksums;
    series.update(last.at_ns, bad_checksums, by_sender);
    // Where there was no room to remember a socket, its hits may have been shown.
    let no_room = session.programs.gaps()?.count(Gap::SocketsFull) > 0;
    let shown = session.shows_failures() || no_room;
    for unseen in &last.unseen {
        if session.config.filter.keeps(&unseen.tuple) {
            session.table.add_unseen(last.at_ns, unseen, !shown);
        }
    }
    for index in 0..session.namespaces.len() {
        let namespace = &session.namespaces[index];
        let _inside = namespace.enter()?;
        let connections = Connections::note(&mut session.table, &session.config.filter, namespace)?;
        session.sent.note_now(connections.sent);
    }
    session.find_owners(true);
    let mut namespaces = Vec::with_capacity(session.namespaces.len());
    for (traced, pair) in session.namespaces.iter_mut().zip(&last.pairs) {
        let mut totals = pair.totals;
        let unseen = last.unseen.iter();
        for unseen in unseen.filter(|one| one.tuple.netns == traced.inode) {
            totals.segments[RetransmitKind::Other as usize] += unseen.segments;
            if !shown {
                totals.failed_segments[RetransmitKind::Other as usize] += unseen.segments;
            }
            totals.unseen_segments += unseen.segments;
            totals.bytes += unseen.bytes;
        }
        namespaces.push(NamespaceCounts {
            netns: traced.inode,
            name: traced.name.clone(),
            totals,
            kernel: traced.kernel_counts(pair)?,
        });
    }
    if session.config.netns == Namespaces::All {
        add_untraced(&session.programs, &mut namespaces)?;
    }
    Ok((last, namespaces))
}

/// With every namespace traced, those that were born meanwhile have totals
/// and nothing of the kernel's to compare them with.
fn add_untraced(programs: &Programs, namespaces: &mut Vec<NamespaceCounts>) -> anyhow::Result<()> {
    let known: HashSet<u32> = namespaces.iter().map(|namespace| namespace.netns).collect();
    for netns in programs.namespaces()? {
        let totals = programs.totals(netns)?;
        if !known.contains(&netns) && totals != Totals::default() {
            namespaces.push(NamespaceCounts {
                netns,
                totals,
                ..NamespaceCounts::default()
            });
        }
    }
    Ok(())
}

fn host(context: &RunContext, namespaces: &[Namespace]) -> Host {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    Host {
        name: name.to_string_lossy().into_owned(),
        kernel: context.release.clone(),
        boot_id: boot_id.map(|id| id.trim_end().to_owned()),
        netns: match namespaces {
            [one] => Some(one.inode),
            _ => None,
        },
        tick_hz: Some(1e9 / context.jiffy_ns as f64),
    }
}

/// Namespaces that are not traced in which the peers were retransmitted to.
fn elsewhere(programs: &Programs) -> anyhow::Result<Vec<(u32, u64)>> {
    let mut found = Vec::new();
    for netns in programs.namespaces()? {
        let hits = programs.totals(netns)?.elsewhere;
        if hits > 0 {
            found.push((netns, hits));
        }
    }
    Ok(found)
}
