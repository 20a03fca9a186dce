//! The kernel's side of a run: the programs, and all that has been learnt from them. It
//! owns the state; views are given what they need.

pub(super) mod connections;
pub(super) mod sent_segments;
mod tcp_info;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tracer_core::address::prefix;
use tracer_core::by_kind::sum;
use tracer_core::event::{DecodeError, Decoded};
use tracer_core::metrics;
use tracer_core::recording::bad_checksums;
use tracer_core::recording::flow_entry::Entry;
use tracer_core::recording::flow_table::FlowTable;
use tracer_core::recording::loss_recovery::LossRecoveries;
use tracer_core::recording::roles::Known;
use tracer_core::recording::wire_events::WireEvents;
use tracer_core::render::live::LiveView;
use tracer_core::render::status::Status;
use tracer_core::report::capabilities::HookStatus;
use tracer_core::report::endpoint::endpoints;
use tracer_core::report::request::whom;
use tracer_ebpf::{Gap, Settings};

use crate::command::run::RunContext;
use crate::command::run::counter_sync::CounterSnapshot;
use crate::command::run::counter_sync::namespace::Namespace;
use crate::command::run::live::Live;
use crate::command::run::session::connections::Connections;
use crate::command::run::session::sent_segments::SentSegments;
use crate::config::{Config, Namespaces, Verbosity};
use crate::kernel::clock::now_ns;
use crate::kernel::netns::{self, Netns};
use crate::kernel::offsets::{self, Resolved};
use crate::kernel::sockets::Inquirer;
use crate::kernel::{descriptors, pidns, process, sockstat, version};
use crate::programs::{NO_EVENT_BYTES, Options, Programs};

/// Enough for the events of a storm between two turns of the loop: some ten
/// thousand of them.
const EVENT_BYTES: u32 = 1 << 20;
/// How often to search `/proc` for the owner of one socket.
const OWNER_SEARCHES: u8 = 3;

/// One run.
pub(crate) struct Session<'a> {
    pub(super) config: &'a Config,
    pub(super) context: RunContext,
    pub(super) resolved: Resolved,
    pub(super) programs: Programs,
    pub(super) hooks: Vec<HookStatus>,
    pub(super) namespaces: Vec<Namespace>,
    /// A conversation with the namespace of this inode: there is one at a time.
    pub(super) inquirer: Option<(u32, Inquirer)>,
    pub(super) table: FlowTable,
    pub(super) bad_checksums: bad_checksums::Series,
    pub(super) sent: SentSegments,
    pub(super) title: String,
    pub(super) start_ns: u64,
    pub(super) began_quietly: bool,
    pub(super) attached: Duration,
    pub(super) ready: Duration,
    pub(super) undecodable: u64,
    pub(super) holes: LossRecoveries,
    pub(super) wire: WireEvents,
    pub(super) exposed: metrics::RetransmitTally,
}

impl<'a> Session<'a> {
    /// Loads and attaches the kernel programs, learns what was before, and
    /// begins to count.
    /// After an error nothing stays attached.
    pub(crate) fn start(config: &'a Config, context: RunContext) -> anyhow::Result<Self> {
        let resolved = offsets::from_running_kernel()?;
        let handles = match config.netns {
            Namespaces::All => netns::all()?,
            Namespaces::Current => vec![Netns::current()?],
            // The thread has entered it; this finds its name.
            Namespaces::Named(ref name) => vec![Netns::open(name)?],
        };
        // Each is open by now, and so will be its counters.
        descriptors::ensure(handles.len() + descriptors::RUN)?;
        let mut in_use = 0u32;
        for handle in &handles {
            let _inside = handle.enter()?;
            in_use = in_use.saturating_add(sockstat::tcp_in_use());
        }
        let mut programs = Programs::load(&options(config, &resolved, &handles, in_use))?;
        let mut attached = Duration::ZERO;
        let hooks = programs.attach(|| attached = context.begun.elapsed())?;

        let mut session = Self {
            title: title(config, &handles),
            config,
            context,
            resolved,
            programs,
            hooks,
            namespaces: Vec::with_capacity(handles.len()),
            inquirer: None,
            table: FlowTable::default(),
            bad_checksums: bad_checksums::Series::default(),
            sent: SentSegments::default(),
            start_ns: 0,
            began_quietly: false,
            attached,
            ready: Duration::ZERO,
            undecodable: 0,
            holes: LossRecoveries::default(),
            wire: WireEvents::default(),
            exposed: metrics::RetransmitTally::default(),
        };
        for handle in handles {
            session.add_namespace(handle)?;
        }
        session.programs.start_counting()?;
        session.start_ns = now_ns();
        session.begin()?;
        session.ready = session.context.begun.elapsed();
        session.find_owners(false);
        Ok(session)
    }

    /// Finds the moment from which both counts are compared. What the kernel had
    /// withheld by then from sockets that were learnt before is found at their
    /// next hit, and then counted.
    fn begin(&mut self) -> anyhow::Result<()> {
        let first = CounterSnapshot::read(&self.programs, &mut self.namespaces, None)?;
        self.began_quietly = first.quiet;
        for (traced, pair) in self.namespaces.iter_mut().zip(&first.pairs) {
            let inode = traced.inode;
            let here = first.unseen.iter().filter(|one| one.tuple.netns == inode);
            let unseen = here.map(|one| one.segments).sum();
            traced.begin(pair, unseen)?;
        }
        Ok(())
    }

    /// Opens the counters of a namespace and learns what its sockets have
    /// retransmitted so far.
    fn add_namespace(&mut self, handle: Netns) -> anyhow::Result<()> {
        let namespace = Namespace::open(handle)?;
        let connections = {
            let _inside = namespace.enter()?;
            Connections::note(&mut self.table, &self.config.filter, &namespace)?
        };
        self.programs
            .set_baselines(connections.retransmitted.into_iter())?;
        self.sent.note_before(connections.sent);
        self.namespaces.push(namespace);
        Ok(())
    }

    /// Notes an event.
    pub(crate) fn note(&mut self, event: &Decoded) {
        self.holes.note(event, self.context.jiffy_ns);
        self.wire.note(event, self.context.jiffy_ns);
    }

    /// Notes a record that could not be understood.
    pub(crate) fn count_undecodable(&mut self, error: &DecodeError) {
        if self.undecodable == 0 {
            log::warn!("{error}");
        }
        self.undecodable += 1;
    }

    /// Takes a sample of the kernel's flow table, after what the last one showed last has made
    /// room, by what the database has said of connections.
    pub(crate) fn poll(&mut self, known: &Known) {
        self.make_room(known);
        let at_ns = now_ns();
        self.read(at_ns);
        self.find_owners(false);
        self.read_tcp_info(at_ns);
    }

    /// Takes a sample at the end of a fault, so that an interval ends there: what was
    /// retransmitted during the fault is not to count as retransmitted after it.
    /// `ended_ns` has only just been, unless an interval has ended since.
    pub(crate) fn poll_at_end(&mut self, ended_ns: u64) {
        if self.table.updated_ns() < ended_ns {
            self.read(ended_ns);
        }
    }

    /// Reads both counts, as of then.
    fn read(&mut self, at_ns: u64) {
        let mut reading = self.table.read(at_ns);
        if let Err(error) = self.programs.take_flows(&mut reading) {
            // What is not seen now is seen in the next interval.
            log::warn!("{error}");
        }
        reading.finish();
        self.table.identify(process::of_owner);
        let namespaces = self.namespaces.iter_mut();
        let totals = namespaces.filter_map(|one| one.totals(&self.programs).ok());
        let bad_checksums = totals.map(|one| one.selected_bad_checksums).sum();
        // After the sum, so that nothing in it is missing here.
        let by_sender = self.programs.bad_checksums().unwrap_or_default();
        self.bad_checksums.update(at_ns, bad_checksums, by_sender);
    }

    /// What each flow has retransmitted up to now counts for the role that it has now.
    pub(super) fn expose(&mut self, known: &Known) {
        for entry in self.table.entries() {
            expose(&mut self.exposed, entry, known);
        }
    }

    /// Lets go of flows that have closed, where there are too many, once Prometheus was shown
    /// what they retransmitted.
    fn make_room(&mut self, known: &Known) {
        for gone in self.table.make_room(known) {
            if self.config.listen.is_some() {
                expose(&mut self.exposed, &gone, known);
                self.exposed.forget(&gone.tuple);
            }
        }
    }

    /// Shows what the last sample found.
    pub(crate) fn show(
        &self,
        live: &mut Live,
        fault: Option<&str>,
        postgres: Option<&Status>,
        commits: Option<String>,
    ) {
        let mut database = postgres.map_or_else(Vec::new, |status| status.lines(now_ns()));
        database.extend(commits);
        let at_ns = self.table.updated_ns();
        // One that cannot be read is not 0, and nor is the sum then known.
        let all_segments = self.namespaces.iter().try_fold(0, |all, traced| {
            let totals = self.programs.totals(traced.inode).ok()?;
            Some(all + sum(&totals.segments))
        });
        let gaps = self.programs.gaps();
        live.show(&LiveView {
            title: &self.title,
            elapsed_s: at_ns.saturating_sub(self.start_ns) as f64 / 1e9,
            at_ns,
            time: &self.context.clock.utc(at_ns),
            flows: &self.table.sorted(),
            groups: self.table.groups(),
            jiffy_ns: self.context.jiffy_ns,
            all_segments,
            fault,
            postgres: &database,
            known: postgres.map_or(&Known::default(), |status| &status.known),
            lost_events: gaps.ok().map(|gaps| gaps.count(Gap::EventsLost)),
        });
    }

    /// Whether the tracepoint shows calls that failed.
    pub(super) fn shows_failures(&self) -> bool {
        self.resolved.offsets.retransmit_has_err == 1
    }

    /// Asks `/proc` who owns the sockets of flows whose owner is not known yet. Of
    /// several, one is named only when they still have it at the `last` search.
    pub(super) fn find_owners(&mut self, last: bool) {
        let mut wanted = HashSet::new();
        let mut settled = HashSet::new();
        for entry in self
            .table
            .entries_mut()
            .filter(|entry| entry.process.is_none() && entry.searches < OWNER_SEARCHES)
        {
            let inode = entry.flow().inode;
            if inode != 0 {
                entry.searches += 1;
                wanted.insert(inode);
                if last || entry.searches == OWNER_SEARCHES {
                    settled.insert(inode);
                }
            }
        }
        if wanted.is_empty() {
            return;
        }
        let mut found = process::owners(&wanted);
        found.retain(|inode, holder| !holder.shared || settled.contains(inode));
        for entry in self
            .table
            .entries_mut()
            .filter(|entry| entry.process.is_none())
        {
            let holder = found.get(&entry.flow().inode);
            entry.process = holder.map(|holder| Arc::clone(&holder.process));
        }
    }
}

fn expose(tally: &mut metrics::RetransmitTally, entry: &Entry, known: &Known) {
    let (local, remote) = endpoints(&entry.tuple);
    let process = entry.process.as_deref();
    let role = known.role(local.socket(), remote.socket(), process);
    let role = role.kind.to_string();
    let peer = remote.address.to_string();
    tally.take(entry.tuple, &entry.flow().segments, &role, &peer);
}

fn options(config: &Config, resolved: &Resolved, handles: &[Netns], sockets: u32) -> Options {
    Options {
        offsets: resolved.offsets,
        tracepoints: resolved.tracepoints,
        pids: pidns::numbers().unwrap_or_else(|_| pidns::nowhere()),
        settings: Settings {
            netns: match (&config.netns, handles) {
                (Namespaces::All, _) => 0,
                (_, handles) => handles.first().map_or(0, Netns::inode),
            },
            filter_peers: u32::from(!config.filter.peers.is_empty()),
            filter_ports: u32::from(!config.filter.ports.is_empty()),
            events: u32::from(config.events.is_some()),
            losses: u32::from(config.wants_events()),
            wake_bytes: EVENT_BYTES / 4,
            one_at_a_time: u32::from(version::runs_one_at_a_time()),
        },
        ports: config.filter.ports.clone(),
        peers: config.filter.peers.iter().map(prefix).collect(),
        sockets,
        max_flows: config.max_flows,
        event_bytes: match config.wants_events() {
            true => EVENT_BYTES,
            false => NO_EVENT_BYTES,
        },
        log_level: match config.verbosity {
            Verbosity::Quiet | Verbosity::Normal => 0,
            Verbosity::Verbose(_) => aya_log::Level::Debug as u8,
        },
        measure_run_time: config.bpf_stats,
    }
}

/// What was asked for, in words.
fn title(config: &Config, handles: &[Netns]) -> String {
    let filter = &config.filter;
    let peer = match filter.peers.is_empty() {
        true => "",
        false => "peer ",
    };
    let place = match &config.netns {
        Namespaces::Named(name) => format!(", in {name}"),
        Namespaces::All => format!(", in all {} network namespaces", handles.len()),
        Namespaces::Current => String::new(),
    };
    format!("{peer}{}{place}", whom(&filter.peers, &filter.ports))
}
