//! Where the fault hangs on the interface: what is done to make it, and what
//! undoes it. Pure: decided from what is there before anything is changed.

use tracer_ebpf::Direction;

use crate::inject::engine::program::Entry;
use crate::inject::error::InjectError;
use crate::inject::guard::undo::Undo;
use crate::inject::handles::{FAULT_CLASS, FILTER, FILTER_NAME, NETEM, ROOT, clsact, place};
use crate::inject::{Assignment, Engine, Hook, Interface};
use crate::kernel::tc::{Handle, Netem, Object, Place};

/// Where the kernel begins when it chooses priorities.
const FIRST_PRIORITY: u16 = 0xc000;

/// What is on the interface before.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Queues {
    /// Its queueing disciplines.
    pub(crate) qdiscs: Vec<Object>,
    /// Filters of `clsact`, both directions.
    pub(crate) filters: Vec<Object>,
}

impl Queues {
    /// Whether something there bears our marks.
    pub(crate) fn has_ours(&self) -> bool {
        let root = |it: &Object| it.parent == Handle::ROOT && it.handle == ROOT;
        self.qdiscs.iter().any(root)
            || self
                .filters
                .iter()
                .any(|it| it.bpf_name().as_deref() == Some(FILTER_NAME))
    }
}

/// One change, in the order in which they are made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// Ask the interface to leave something undone.
    SwitchOff(Vec<String>),
    /// Hang the program on a link.
    Link(Direction),
    /// Give the interface a place for filters.
    Clsact(Place),
    /// Make the program a filter.
    Filter {
        place: Place,
        priority: u16,
        entry: Entry,
    },
    /// Give the interface a queueing discipline with classes.
    Prio(Place),
    /// Put netem into one of them.
    Netem { place: Place, netem: Box<Netem> },
}

/// The whole of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FaultPlan {
    pub(crate) hook: Hook,
    pub(crate) changes: Vec<Change>,
    /// In the order in which it is undone.
    pub(crate) undo: Vec<Undo>,
}

impl FaultPlan {
    /// Decides where the fault goes.
    pub(crate) fn decide(
        interface: &Interface,
        assignment: &Assignment,
        seed: Option<u64>,
        hook: Hook,
        switch_off: &[String],
        found: &Queues,
    ) -> Result<Self, InjectError> {
        let mut plan = Self {
            hook,
            changes: Vec::new(),
            undo: Vec::new(),
        };
        if !switch_off.is_empty() {
            plan.changes.push(Change::SwitchOff(switch_off.to_vec()));
        }
        match assignment.netem(seed) {
            Some(netem) => plan.queue(interface, netem, found)?,
            None if hook == Hook::Tcx => {
                let directions = assignment.direction().each().iter();
                plan.changes.extend(directions.copied().map(Change::Link));
            }
            None => plan.clsact(interface, assignment, found)?,
        }
        // Last: while packets are hit, the interface would hide the hits.
        plan.undo.push(Undo::Offloads(switch_off.to_vec()));
        Ok(plan)
    }

    fn queue(
        &mut self,
        interface: &Interface,
        netem: Netem,
        found: &Queues,
    ) -> Result<(), InjectError> {
        self.hook = Hook::Prio;
        let mut roots = found
            .qdiscs
            .iter()
            .filter(|it| it.parent == Handle::ROOT && it.handle != Handle::NONE);
        if let Some(root) = roots.next() {
            return Err(InjectError::ForeignQdisc {
                interface: interface.name.clone(),
                kind: root.kind.clone(),
                handle: root.handle,
                ours: root.handle == ROOT,
            });
        }
        self.changes.extend([
            Change::Prio(place(interface.index, Handle::ROOT, ROOT)),
            Change::Netem {
                place: place(interface.index, ROOT.class(FAULT_CLASS), NETEM),
                netem: Box::new(netem),
            },
            Change::Filter {
                place: place(interface.index, ROOT, FILTER),
                priority: 1,
                entry: Entry::Queue,
            },
        ]);
        // Everything that hangs on it goes with it.
        self.undo.push(Undo::Root { handle: ROOT });
        Ok(())
    }

    fn clsact(
        &mut self,
        interface: &Interface,
        assignment: &Assignment,
        found: &Queues,
    ) -> Result<(), InjectError> {
        self.hook = Hook::Clsact;
        let mut there = found
            .qdiscs
            .iter()
            .filter(|it| it.parent == Handle::CLSACT || it.kind == "clsact");
        match there.next().map(|it| it.kind.as_str()) {
            Some("clsact") => {}
            None => {
                self.changes.push(Change::Clsact(clsact(interface.index)));
                self.undo.push(Undo::Clsact);
            }
            // Its kind is `ingress`, which shuts `clsact` out.
            Some(kind) => {
                return Err(InjectError::ForeignQdisc {
                    interface: interface.name.clone(),
                    kind: kind.to_owned(),
                    handle: clsact(interface.index).handle,
                    ours: false,
                });
            }
        }
        for direction in assignment.direction().each() {
            let parent = match direction {
                Direction::Egress => Handle::EGRESS,
                Direction::Ingress => Handle::INGRESS,
            };
            let priority = before_all(found, parent).ok_or_else(|| InjectError::NoPriority {
                interface: interface.name.clone(),
            })?;
            self.changes.push(Change::Filter {
                place: place(interface.index, parent, FILTER),
                priority,
                entry: Entry::Direction(*direction),
            });
            // In front of `clsact`, which goes only without filters.
            let filter = Undo::Filter {
                parent,
                priority,
                handle: FILTER,
            };
            self.undo.insert(0, filter);
        }
        Ok(())
    }

    /// The programs that it needs.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.changes
            .iter()
            .filter_map(|step| match step {
                Change::Link(direction) => Some(Entry::Direction(*direction)),
                Change::Filter { entry, .. } => Some(*entry),
                _ => None,
            })
            .collect()
    }

    /// What will be done, a line each, as somebody would type it.
    pub(crate) fn describe(&self, interface: &str, assignment: &Assignment) -> Vec<String> {
        self.changes
            .iter()
            .map(|step| step.describe(interface, assignment))
            .collect()
    }
}

/// A priority in front of every filter there; ours lets packets go on to them.
fn before_all(found: &Queues, parent: Handle) -> Option<u16> {
    let there = found.filters.iter().filter(|it| it.parent == parent);
    match there.map(Object::priority).min() {
        None => Some(FIRST_PRIORITY),
        Some(0 | 1) => None,
        Some(first) => Some(first - 1),
    }
}

impl Change {
    fn describe(&self, interface: &str, assignment: &Assignment) -> String {
        match self {
            Self::SwitchOff(features) => {
                format!("ethtool -K {interface} {} off", features.join(" off "))
            }
            Self::Link(direction) => format!(
                "attach program {} to {interface} by a TCX link ({})",
                Entry::Direction(*direction).name(),
                side(*direction)
            ),
            Self::Clsact(_) => format!("tc qdisc add dev {interface} clsact"),
            Self::Prio(place) => format!(
                "tc qdisc add dev {interface} root handle {} prio bands {FAULT_CLASS}",
                place.handle
            ),
            Self::Netem { place, netem } => format!(
                "tc qdisc add dev {interface} parent {} handle {} netem limit {} ({})",
                place.parent,
                place.handle,
                netem.limit,
                ours(assignment)
            ),
            Self::Filter {
                place,
                priority,
                entry,
            } => {
                let place = match place.parent {
                    Handle::EGRESS => "egress".to_owned(),
                    Handle::INGRESS => "ingress".to_owned(),
                    parent => format!("parent {parent}"),
                };
                format!(
                    "tc filter add dev {interface} {place} prio {priority} bpf direct-action (program {})",
                    entry.name()
                )
            }
        }
    }
}

fn ours(assignment: &Assignment) -> String {
    let faults = assignment.made_by(Engine::Netem);
    let faults: Vec<String> = faults.map(|fault| fault.to_string()).collect();
    faults.join(" + ")
}

const fn side(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "egress",
        Direction::Ingress => "ingress",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject::{Directions, EngineChoice, Faults};

    fn interface() -> Interface {
        Interface {
            name: "ens160".to_owned(),
            index: 2,
        }
    }

    fn object(kind: &str, parent: Handle, handle: Handle, priority: u16) -> Object {
        Object {
            interface: 2,
            handle,
            parent,
            info: u32::from(priority) << 16,
            kind: kind.to_owned(),
            options: Vec::new(),
            stats: None,
        }
    }

    fn plan(
        fault: &str,
        direction: Directions,
        hook: Hook,
        found: &Queues,
    ) -> Result<(Vec<String>, Vec<Undo>), String> {
        let faults = Faults::new(vec![fault.parse().unwrap()]).unwrap();
        let assignment = Assignment::new(&faults, EngineChoice::Auto, Some(direction)).unwrap();
        FaultPlan::decide(&interface(), &assignment, None, hook, &[], found)
            .map(|plan| (plan.describe("ens160", &assignment), plan.undo))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_link_needs_nothing_undone() {
        let (changes, undo) =
            plan("loss=100%", Directions::Both, Hook::Tcx, &Queues::default()).unwrap();
        assert_eq!(
            changes,
            [
                "attach program fault_out to ens160 by a TCX link (egress)",
                "attach program fault_in to ens160 by a TCX link (ingress)"
            ]
        );
        assert_eq!(undo, [Undo::Offloads(Vec::new())]);
    }

    #[test]
    fn a_filter_goes_before_others_and_clsact_only_if_we_brought_it() {
        let (changes, undo) =
            plan("loss=5%", Directions::In, Hook::Clsact, &Queues::default()).unwrap();
        assert_eq!(
            changes,
            [
                "tc qdisc add dev ens160 clsact",
                "tc filter add dev ens160 ingress prio 49152 bpf direct-action (program fault_in)"
            ]
        );
        assert_eq!(
            undo,
            [
                Undo::Filter {
                    parent: Handle::INGRESS,
                    priority: 49152,
                    handle: FILTER
                },
                Undo::Clsact,
                Undo::Offloads(Vec::new())
            ]
        );
        let mut found = Queues {
            qdiscs: vec![object("clsact", Handle::CLSACT, Handle::major(0xffff), 0)],
            filters: vec![object("flower", Handle::EGRESS, Handle(1), 10)],
        };
        let (changes, undo) = plan("loss=5%", Directions::Out, Hook::Clsact, &found).unwrap();
        assert_eq!(
            changes,
            ["tc filter add dev ens160 egress prio 9 bpf direct-action (program fault_out)"]
        );
        assert!(!undo.contains(&Undo::Clsact));
        found.filters[0].info = 1 << 16;
        let error = plan("loss=5%", Directions::Out, Hook::Clsact, &found).unwrap_err();
        assert!(error.contains("priority 1"), "{error}");
        found.qdiscs[0].kind = "ingress".to_owned();
        let error = plan("loss=5%", Directions::Out, Hook::Clsact, &found).unwrap_err();
        assert!(error.contains("ingress"), "{error}");
    }

    #[test]
    fn a_discipline_of_somebody_else_is_never_replaced() {
        let mut found = Queues {
            qdiscs: vec![object("noqueue", Handle::ROOT, Handle::NONE, 0)],
            filters: Vec::new(),
        };
        let (changes, undo) = plan("delay=5ms", Directions::Out, Hook::Tcx, &found).unwrap();
        assert_eq!(
            changes,
            [
                "tc qdisc add dev ens160 root handle 7472: prio bands 4",
                "tc qdisc add dev ens160 parent 7472:4 handle 7473: netem limit 1000000 (delay=5ms)",
                "tc filter add dev ens160 parent 7472: prio 1 bpf direct-action (program fault_queue)"
            ]
        );
        assert_eq!(undo[0], Undo::Root { handle: ROOT });
        found.qdiscs[0] = object("fq", Handle::ROOT, Handle::major(0x8001), 0);
        let error = plan("delay=5ms", Directions::Out, Hook::Tcx, &found).unwrap_err();
        assert!(error.contains("fq 8001:"), "{error}");
        found.qdiscs[0] = object("prio", Handle::ROOT, ROOT, 0);
        let error = plan("delay=5ms", Directions::Out, Hook::Tcx, &found).unwrap_err();
        assert!(error.contains("tracer clean"), "{error}");
    }
}
