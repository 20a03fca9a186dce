//! Where the fault hangs on the interface: what is done to make it, and what
//! undoes it. Pure: decided from what is there before anything is changed.

use std::fmt;

use tracer_ebpf::Direction;

use crate::inject::error::InjectError;
use crate::inject::program::Entry;
use crate::inject::undo::Undo;
use crate::inject::{Assignment, Engine, Interface};
use crate::kernel::tc::{Handle, Netem, Object, Place};

/// Of our queueing discipline; nothing picks this number by itself, and read as
/// text it says `tr`.
pub(super) const ROOT: Handle = Handle::major(0x7472);
/// Of the netem in it.
pub(super) const NETEM: Handle = Handle::major(0x7473);
/// The class for what is to be troubled: the last. The others are the three that
/// the kernel's own discipline has.
pub(super) const TROUBLED: u16 = 4;
/// Of our filters.
pub(super) const FILTER: Handle = Handle(0x7472);
/// By which a filter is known as ours.
pub(super) const FILTER_NAME: &str = "tracer-fault";
/// Where the kernel begins when it chooses priorities.
const FIRST_PRIORITY: u16 = 0xc000;

/// Where the program hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// A TCX link (Linux 6.6): the kernel removes it when the tool ends.
    Tcx,
    /// A filter of `clsact`.
    Clsact,
    /// A filter of a queueing discipline `prio`, with netem in one of its classes.
    Prio,
}

impl Hook {
    /// As reported.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
            Self::Prio => "prio",
        }
    }
}

/// What is on the interface before.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Its queueing disciplines.
    pub(super) qdiscs: Vec<Object>,
    /// Filters of `clsact`, both ways.
    pub(super) filters: Vec<Object>,
}

impl Found {
    /// Whether something there bears our marks.
    pub(super) fn has_ours(&self) -> bool {
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
pub(super) enum Step {
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
pub(super) struct Layout {
    pub(super) hook: Hook,
    pub(super) steps: Vec<Step>,
    /// In the order in which it is undone.
    pub(super) undo: Vec<Undo>,
}

impl Layout {
    /// Decides where the fault goes.
    ///
    /// # Errors
    /// If somebody else's discipline or filter is where it would have to be.
    pub(super) fn plan(
        interface: &Interface,
        assignment: &Assignment,
        seed: Option<u64>,
        hook: Hook,
        switch_off: &[String],
        found: &Found,
    ) -> Result<Self, InjectError> {
        let mut layout = Self {
            hook,
            steps: Vec::new(),
            undo: Vec::new(),
        };
        if !switch_off.is_empty() {
            layout.steps.push(Step::SwitchOff(switch_off.to_vec()));
        }
        match assignment.netem(seed) {
            Some(netem) => layout.queue(interface, netem, found)?,
            None if hook == Hook::Tcx => {
                let ways = assignment.direction().ways().iter();
                layout.steps.extend(ways.copied().map(Step::Link));
            }
            None => layout.clsact(interface, assignment, found)?,
        }
        // Last: while packets are hit, the interface would hide the hits.
        layout.undo.push(Undo::Offloads(switch_off.to_vec()));
        Ok(layout)
    }

    fn queue(
        &mut self,
        interface: &Interface,
        netem: Netem,
        found: &Found,
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
        let place = |parent, handle| Place {
            interface: interface.index,
            parent,
            handle,
        };
        self.steps.extend([
            Step::Prio(place(Handle::ROOT, ROOT)),
            Step::Netem {
                place: place(ROOT.class(TROUBLED), NETEM),
                netem: Box::new(netem),
            },
            Step::Filter {
                place: place(ROOT, FILTER),
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
        found: &Found,
    ) -> Result<(), InjectError> {
        self.hook = Hook::Clsact;
        let place = |parent, handle| Place {
            interface: interface.index,
            parent,
            handle,
        };
        let mut there = found
            .qdiscs
            .iter()
            .filter(|it| it.parent == Handle::CLSACT || it.kind == "clsact");
        match there.next().map(|it| it.kind.as_str()) {
            Some("clsact") => {}
            None => {
                let clsact = place(Handle::CLSACT, Handle::major(0xffff));
                self.steps.push(Step::Clsact(clsact));
                self.undo.push(Undo::Clsact);
            }
            // Its kind is `ingress`, which shuts `clsact` out.
            Some(kind) => {
                return Err(InjectError::ForeignQdisc {
                    interface: interface.name.clone(),
                    kind: kind.to_owned(),
                    handle: Handle::major(0xffff),
                    ours: false,
                });
            }
        }
        for way in assignment.direction().ways() {
            let parent = match way {
                Direction::Egress => Handle::EGRESS,
                Direction::Ingress => Handle::INGRESS,
            };
            let priority = before_all(found, parent).ok_or_else(|| InjectError::NoPriority {
                interface: interface.name.clone(),
            })?;
            self.steps.push(Step::Filter {
                place: place(parent, FILTER),
                priority,
                entry: Entry::Direction(*way),
            });
            // In front of `clsact`, which goes only without filters.
            self.undo.insert(
                0,
                Undo::Filter {
                    parent,
                    priority,
                    handle: FILTER,
                },
            );
        }
        Ok(())
    }

    /// The programs that it needs.
    pub(super) fn entries(&self) -> Vec<Entry> {
        self.steps
            .iter()
            .filter_map(|step| match step {
                Step::Link(way) => Some(Entry::Direction(*way)),
                Step::Filter { entry, .. } => Some(*entry),
                _ => None,
            })
            .collect()
    }

    /// What will be done, a line each, as somebody would type it.
    pub(super) fn describe(&self, interface: &str, assignment: &Assignment) -> Vec<String> {
        self.steps
            .iter()
            .map(|step| step.describe(interface, assignment))
            .collect()
    }
}

/// A priority in front of every filter there; ours lets packets go on to them.
fn before_all(found: &Found, parent: Handle) -> Option<u16> {
    let there = found.filters.iter().filter(|it| it.parent == parent);
    match there.map(Object::priority).min() {
        None => Some(FIRST_PRIORITY),
        Some(0 | 1) => None,
        Some(first) => Some(first - 1),
    }
}

impl Step {
    fn describe(&self, interface: &str, assignment: &Assignment) -> String {
        match self {
            Self::SwitchOff(features) => {
                format!("ethtool -K {interface} {} off", features.join(" off "))
            }
            Self::Link(way) => {
                let entry = Entry::Direction(*way).name();
                let side = side(*way);
                format!("attach program {entry} to {interface} by a TCX link ({side})")
            }
            Self::Clsact(_) => format!("tc qdisc add dev {interface} clsact"),
            Self::Prio(place) => format!(
                "tc qdisc add dev {interface} root handle {} prio bands {TROUBLED}",
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
    let netem = assignment
        .entries()
        .filter(|(_, engine)| *engine == Engine::Netem);
    let faults: Vec<String> = netem.map(|(fault, _)| fault.to_string()).collect();
    faults.join(" + ")
}

const fn side(way: Direction) -> &'static str {
    match way {
        Direction::Egress => "egress",
        Direction::Ingress => "ingress",
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
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
        found: &Found,
    ) -> Result<(Vec<String>, Vec<Undo>), String> {
        let faults = Faults::new(vec![fault.parse().unwrap()]).unwrap();
        let assignment = Assignment::new(&faults, EngineChoice::Auto, Some(direction)).unwrap();
        Layout::plan(&interface(), &assignment, None, hook, &[], found)
            .map(|layout| (layout.describe("ens160", &assignment), layout.undo))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_link_needs_nothing_undone() {
        let (steps, undo) =
            plan("loss=100%", Directions::Both, Hook::Tcx, &Found::default()).unwrap();
        assert_eq!(
            steps,
            [
                "attach program fault_out to ens160 by a TCX link (egress)",
                "attach program fault_in to ens160 by a TCX link (ingress)"
            ]
        );
        assert_eq!(undo, [Undo::Offloads(Vec::new())]);
    }

    #[test]
    fn a_filter_goes_before_others_and_clsact_only_if_we_brought_it() {
        let (steps, undo) =
            plan("loss=5%", Directions::In, Hook::Clsact, &Found::default()).unwrap();
        assert_eq!(
            steps,
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
        let mut found = Found {
            qdiscs: vec![object("clsact", Handle::CLSACT, Handle::major(0xffff), 0)],
            filters: vec![object("flower", Handle::EGRESS, Handle(1), 10)],
        };
        let (steps, undo) = plan("loss=5%", Directions::Out, Hook::Clsact, &found).unwrap();
        assert_eq!(
            steps,
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
        let mut found = Found {
            qdiscs: vec![object("noqueue", Handle::ROOT, Handle::NONE, 0)],
            filters: Vec::new(),
        };
        let (steps, undo) = plan("delay=5ms", Directions::Out, Hook::Tcx, &found).unwrap();
        assert_eq!(
            steps,
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
