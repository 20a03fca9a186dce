//! A fault that is being made.

mod differences;

use std::os::fd::AsFd as _;
use std::thread;
use std::time::{Duration, Instant};

use tracer_core::report::fault::{FaultKind, FaultReport};
use tracer_core::report::whereabouts::Whereabouts;

use crate::inject::engine::active::differences::differences;
use crate::inject::engine::fault_plan::Change;
use crate::inject::engine::prepared::InterfaceState;
use crate::inject::engine::program::FaultProgram;
use crate::inject::engine::report::{self, OnAgain, Outcome};
use crate::inject::guard::{Guard, Orders, undo};
use crate::inject::handles::{FAULT_CLASS, FILTER_NAME, NETEM};
use crate::inject::plan::offloads;
use crate::inject::{Counts, Hook, InjectError, Interface, PreparedFault};
use crate::kernel::clock::now_ns;
use crate::kernel::ethtool::{self, Feature};
use crate::kernel::link::{Heard, LinkWatch};
use crate::kernel::tc::{self, Netem, Stats};

/// What the tool has for making the fault and for stopping it by itself before
/// the guard does: switching offloads and attaching wait for the lock of the
/// network devices, which a namespace that goes away can hold for a second.
const GRACE: Duration = Duration::from_secs(5);
/// How long packets that are late may take to leave after the end, before they
/// are dropped with the queue that they wait in.
const DRAIN: Duration = Duration::from_secs(3);

/// Packets are being hit, until [`Self::stop`], the end of the duration, or
/// the end of this process, whichever comes first. Dropping it undoes it too,
/// without saying whether that worked.
#[derive(Debug)]
pub struct ActiveFault {
    prepared: PreparedFault,
    program: FaultProgram,
    guard: Guard,
    /// Hears where the interface goes; [`None`] if the kernel cannot be asked.
    watch: Option<LinkWatch>,
    offloads_changed: Vec<String>,
    /// The interface's features when packets began to be hit.
    features: Vec<Feature>,
    on_again: OnAgain,
    seed: u64,
    started_ns: u64,
    until_ns: u64,
    /// When the last packet could be hit, once that is over.
    ended_ns: Option<u64>,
    /// netem's counters at the end, once it is gone.
    queue: Option<Stats>,
    undone: bool,
    /// The guard was not there any more when the fault was stopped.
    guard_gone: bool,
}

impl PreparedFault {
    /// Makes the fault: from the return of this call packets are hit. On an
    /// error, everything is as it was.
    ///
    /// # Errors
    /// What the kernel or the guard has against it, and what has come to speak
    /// against it since it was prepared.
    pub fn start(self) -> Result<ActiveFault, InjectError> {
        // That may be an hour ago, and the interface another one by now.
        ActiveFault::start(self.request.prepare()?)
    }
}

impl ActiveFault {
    /// Where the fault is.
    #[must_use]
    pub fn interface(&self) -> &Interface {
        &self.prepared.interface
    }

    /// Nothing is changed before the guard stands ready to undo it, and nothing
    /// is hit before a hit would be seen as one.
    pub(crate) fn start(prepared: PreparedFault) -> Result<Self, InjectError> {
        let request = &prepared.request;
        let mark = mark();
        let settings = prepared.assignment.settings(
            &request.ports,
            request.seed.unwrap_or(0),
            FAULT_CLASS,
            mark,
        );
        let program = FaultProgram::load(
            &prepared.interface.name,
            &prepared.plan.entries(),
            settings,
            &request.nets(),
        )?;
        let watch = LinkWatch::start().ok();
        let guard = Guard::start(&request.guard, &orders(&prepared))?;
        // From here on, dropping it undoes.
        let mut fault = Self {
            seed: request.seed.unwrap_or(0),
            prepared,
            program,
            guard,
            watch,
            offloads_changed: Vec::new(),
            features: Vec::new(),
            on_again: OnAgain::default(),
            started_ns: 0,
            until_ns: 0,
            ended_ns: None,
            queue: None,
            undone: false,
            guard_gone: false,
        };
        // The guard holds the interface only now: another fault may just have
        // ended, and what was read before may have been its doing.
        if InterfaceState::read(&fault.prepared.interface)? != fault.prepared.before {
            return Err(InjectError::Moved {
                interface: fault.prepared.interface.name.clone(),
            });
        }
        fault.features = fault.prepared.before.features.clone();
        for change in fault.prepared.plan.changes.clone() {
            fault.take(&change)?;
        }
        fault.started_ns = now_ns();
        fault.until_ns = fault
            .started_ns
            .saturating_add(nanos(fault.prepared.request.duration));
        fault.program.arm(fault.until_ns)?;
        Ok(fault)
    }

    fn take(&mut self, change: &Change) -> Result<(), InjectError> {
        let interface = self.prepared.interface.clone();
        let refused = |what: &'static str| {
            let interface = interface.name.clone();
            move |error| InjectError::Queue {
                what,
                interface,
                error,
            }
        };
        match change {
            Change::SwitchOff(features) => self.switch_off(features),
            Change::Link(direction) => self.program.attach(*direction),
            Change::Clsact(place) => tc::add_qdisc(*place, "clsact", &[])
                .map_err(refused("the place for filters clsact")),
            Change::Prio(place) => {
                let options = tc::prio_options(FAULT_CLASS.into());
                tc::add_qdisc(*place, "prio", &options)
                    .map_err(refused("the queueing discipline prio"))
            }
            Change::Netem { place, netem } => {
                tc::add_qdisc(*place, "netem", &netem.options())
                    .map_err(refused("the queueing discipline netem"))?;
                self.check_seed(netem)
            }
            Change::Filter {
                place,
                priority,
                entry,
            } => {
                let program = self.program.descriptor(*entry)?;
                tc::add_bpf_filter(*place, *priority, program.as_fd(), FILTER_NAME)
                    .map_err(refused("the filter for its program"))
            }
        }
    }

    /// Older kernels ignore what they do not know.
    fn check_seed(&self, netem: &Netem) -> Result<(), InjectError> {
        let Some(seed) = netem.seed else {
            return Ok(());
        };
        let found = tc::qdiscs(self.prepared.interface.index).unwrap_or_default();
        let taken = found
            .iter()
            .any(|it| it.handle == NETEM && Netem::has_seed(it, seed));
        if taken {
            return Ok(());
        }
        Err(InjectError::NoSeed)
    }

    fn switch_off(&mut self, features: &[String]) -> Result<(), InjectError> {
        let interface = &self.prepared.interface;
        let named = || interface.name.clone();
        ethtool::request(&interface.name, features, false).map_err(|error| {
            InjectError::Offloads {
                doing: "switch off",
                interface: named(),
                error,
            }
        })?;
        let during = interface.features()?;
        let needs = self.prepared.assignment.needs();
        let still_on = offloads::still_on(&during);
        if needs.no_checksums && !still_on.is_empty() {
            return Err(InjectError::FixedOffloads {
                interface: named(),
                features: still_on,
            });
        }
        self.offloads_changed = offloads::changed(&self.prepared.before.features, &during);
        self.features = during;
        Ok(())
    }

    /// Whether its guard is there to undo it. A fault without one is to be stopped: if
    /// the tool were killed as well, it would stay.
    pub(crate) fn is_guarded(&mut self) -> bool {
        self.guard_gone |= !self.guard.is_there();
        !self.guard_gone
    }

    /// Checks whether the interface still is as the fault needs it. What somebody else
    /// has switched on again stays on, and is reported.
    pub fn poll(&mut self) {
        let Interface { name, index } = &self.prepared.interface;
        // One that was renamed or moved is found again at the end.
        if Interface::by_index(*index).is_ok_and(|now| now.name == *name)
            && let Ok(now) = ethtool::features(name)
        {
            self.compare(&now);
        }
    }

    fn compare(&mut self, now: &[Feature]) {
        let needs = self.prepared.assignment.needs();
        let names = offloads::on_again(&self.features, now, needs);
        if names.is_empty() {
            return;
        }
        self.on_again.seen_ns.get_or_insert_with(now_ns);
        for name in names {
            if !self.on_again.names.contains(&name) {
                self.on_again.names.push(name);
            }
        }
    }

    /// What each fault did so far, both directions together; [`None`] if the kernel does
    /// not say.
    #[must_use]
    pub fn counts(&self) -> Option<Vec<(FaultKind, Counts)>> {
        let stats = self.stats();
        let assignment = &self.prepared.assignment;
        assignment
            .entries()
            .map(|entry| {
                let directions = assignment.direction().each().iter();
                let counters = directions.map(|one| self.program.counters(*one));
                let counts = counters.map(|one| Some(Counts::of(entry, &one?, stats)));
                let counts = counts.sum::<Option<Counts>>()?;
                Some((entry.0.kind(), counts))
            })
            .collect()
    }

    /// Of netem, where there is one.
    fn stats(&self) -> Option<Stats> {
        if self.prepared.plan.hook != Hook::Prio {
            return None;
        }
        self.queue.or_else(|| {
            let found = tc::qdiscs(self.prepared.interface.index).ok()?;
            found.iter().find(|it| it.handle == NETEM)?.stats
        })
    }

    /// When the fault ends by itself, ns of `CLOCK_MONOTONIC`.
    pub(crate) fn until_ns(&self) -> u64 {
        self.until_ns
    }

    /// Has packets hit no longer, and leaves the rest for [`Self::stop`]. When the last
    /// one could be hit, ns of `CLOCK_MONOTONIC`; [`None`] if that was returned before, or
    /// the kernel does not take it: then it is when the program has left the interface.
    pub(crate) fn cease(&mut self) -> Option<u64> {
        if self.ended_ns.is_some() || self.program.arm(0).is_err() {
            return None;
        }
        let ended_ns = now_ns().min(self.until_ns);
        self.ended_ns = Some(ended_ns);
        Some(ended_ns)
    }

    /// Undoes everything and verifies that it is undone. A report for each fault
    /// and direction.
    #[must_use]
    pub fn stop(mut self) -> Vec<FaultReport> {
        let (removed, left_behind) = self.undo();
        let ended_ns = self.ended_ns.unwrap_or(self.until_ns);
        let origin = &self.prepared.origin;
        let (interface_now, after) =
            origin.visit(|interface, _| InterfaceState::read(interface).ok());
        let interface_now = self.heard(interface_now);
        let after = after.flatten();
        let outcome = Outcome {
            prepared: &self.prepared,
            seed: (self.seed != 0).then_some(self.seed),
            started_ns: self.started_ns,
            ended_ns,
            offloads_changed: &self.offloads_changed,
            on_again: &self.on_again,
            guard_gone: self.guard_gone,
            after: after.as_ref().map(|state| &state.found.qdiscs[..]),
            interface_now: &interface_now,
            removed,
            left_behind: left_behind.as_deref(),
        };
        let stats = self.stats();
        let mut reports = Vec::new();
        for entry in self.prepared.assignment.entries() {
            for direction in self.prepared.assignment.direction().each() {
                let counts = self
                    .program
                    .counters(*direction)
                    .map(|counters| Counts::of(entry, &counters, stats));
                reports.push(report::of(&outcome, entry, *direction, counts));
            }
        }
        reports
    }

    /// The program first: while it hits, offloads would hide the hits. Returns
    /// whether all is verified to be as it was, and if not, why.
    fn undo(&mut self) -> (bool, Option<String>) {
        if self.undone {
            return (true, None);
        }
        self.undone = true;
        self.is_guarded();
        let mut problems = Vec::new();
        // From here on nothing is hit, and what waits may go.
        if self.started_ns != 0 {
            self.cease();
            self.drain();
        }
        let origin = &self.prepared.origin;
        let detached = self.program.detach(origin);
        // Where disarming it failed, it hit until now.
        self.ended_ns.get_or_insert(now_ns().min(self.until_ns));
        let (_, now) = origin.visit(|interface, _| interface.features().ok());
        if let (Some(Some(now)), true) = (now, self.started_ns != 0) {
            self.compare(&now);
        }
        let interface = &self.prepared.interface;
        if !detached {
            problems.push(format!(
                "the kernel does not confirm that the fault's program has left {}; the end of this process removes it",
                interface.name
            ));
        }
        if let Err(error) = self.guard.release() {
            // Somebody ended it; what it would have done is still known.
            match undo::carry_out(&self.prepared.origin, &self.prepared.plan.undo) {
                Ok(_) => self.guard.forget(),
                // Whoever may not undo may not have changed anything either.
                Err(_) if self.differences().is_none() => self.guard.forget(),
                Err(left) => problems.push(format!(
                    "the guard did not undo the fault ({error}), and: {left}"
                )),
            }
        }
        problems.extend(self.differences());
        let left_behind = (!problems.is_empty()).then(|| problems.join("; "));
        (left_behind.is_none(), left_behind)
    }

    /// Lets late packets leave before their queue goes.
    fn drain(&mut self) {
        let deadline = Instant::now() + DRAIN;
        while let Some(stats) = self.stats() {
            if stats.queued == 0 || Instant::now() >= deadline {
                self.queue = Some(stats);
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What was found of the interface, with what was heard of it: one that is nowhere
    /// may be where nobody finds it.
    fn heard(&mut self, found: Whereabouts) -> Whereabouts {
        if !found.is_gone() {
            return found;
        }
        let index = self.prepared.interface.index;
        let reason = match self.watch.as_mut().map(|watch| watch.of(index)) {
            Some(Heard::NotMoved) => return found,
            Some(Heard::Moved) => {
                "it was moved to a network namespace that has neither a name nor a process; offloads that the fault switched off stay off there"
            }
            Some(Heard::Missed) | None => {
                "it is in no network namespace that can be found, and the kernel did not say whether it was deleted or moved"
            }
        };
        Whereabouts::Unknown {
            reason: reason.to_owned(),
        }
    }

    /// What is not as before.
    fn differences(&mut self) -> Option<String> {
        let before = &self.prepared.before;
        let (whereabouts, differences) = self
            .prepared
            .origin
            .visit(|interface, whereabouts| differences(before, interface, whereabouts));
        let whereabouts = self.heard(whereabouts);
        match (differences, &whereabouts) {
            (Some(differences), _) => differences,
            (None, Whereabouts::Unknown { .. }) => {
                let reason = whereabouts.told_of(&self.prepared.interface.name);
                let reason = reason.unwrap_or_default();
                Some(format!("cannot say whether all is as it was: {reason}"))
            }
            // Gone, and everything on it.
            (None, _) => None,
        }
    }
}

impl Drop for ActiveFault {
    fn drop(&mut self) {
        if let (false, Some(left_behind)) = self.undo() {
            log::error!("{left_behind}");
        }
    }
}

fn orders(prepared: &PreparedFault) -> Orders {
    let drain = if prepared.plan.hook == Hook::Prio {
        DRAIN
    } else {
        Duration::ZERO
    };
    let deadline = prepared.request.duration.saturating_add(GRACE + drain);
    Orders {
        origin: prepared.origin.clone(),
        deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
        undo: prepared.plan.undo.clone(),
        note: prepared.note(),
    }
}

/// A number by which duplicates are known, another one each time: two faults on a
/// packet's path are not to take each other's packets for duplicates.
fn mark() -> u16 {
    // The low digits of the clock are as good as any lot.
    (now_ns() / 64 % 0xffff) as u16 + 1
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
