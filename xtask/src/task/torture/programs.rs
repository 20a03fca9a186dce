//! Programs in the kernel that the tool loads, and their links.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::Result;
use aya::programs::{loaded_links, loaded_programs};
use nix::unistd::Pid;

use crate::testbed::{command, held_programs};

/// What is loaded at a moment, by id. Programs have a name, links a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Loaded {
    programs: BTreeMap<u32, String>,
    links: BTreeMap<u32, u32>,
}

impl Loaded {
    pub(super) fn read() -> Self {
        // What goes meanwhile is gone.
        let programs = loaded_programs().filter_map(Result::ok);
        let links = loaded_links().filter_map(Result::ok);
        Self {
            programs: programs
                .map(|it| (it.id(), it.name_as_str().unwrap_or_default().to_owned()))
                .collect(),
            links: links.map(|it| (it.id(), it.program_id())).collect(),
        }
    }

    /// Names of the programs that this process holds.
    pub(super) fn names_of(&self, pid: Pid) -> BTreeSet<String> {
        let mut held = Held::default();
        held.add(pid);
        let names = held.programs.iter().filter_map(|id| self.programs.get(id));
        names.cloned().collect()
    }

    /// What is loaded now, was not then, bears one of these names and is held by no
    /// process: nobody's that lives, and so the tool's that has ended.
    pub(super) fn left_since(&self, names: &BTreeSet<String>) -> Vec<String> {
        let now = Self::read();
        let ours = |id: &u32| now.programs.get(id).is_some_and(|it| names.contains(it));
        let programs: Vec<u32> = now
            .programs
            .keys()
            .filter(|&id| !self.programs.contains_key(id) && ours(id))
            .copied()
            .collect();
        let links: Vec<(u32, u32)> = now
            .links
            .iter()
            .filter(|&(id, program)| !self.links.contains_key(id) && ours(program))
            .map(|(id, program)| (*id, *program))
            .collect();
        if programs.is_empty() && links.is_empty() {
            return Vec::new();
        }
        let held = Held::by_all();
        let programs = programs.iter().filter(|&id| !held.programs.contains(id));
        let links = links.iter().filter(|(id, _)| !held.links.contains(id));
        let named = |id: &u32| now.programs.get(id).cloned().unwrap_or_default();
        programs
            .map(|id| format!("program {id} ({}) is still loaded", named(id)))
            .chain(links.map(|(id, of)| format!("link {id} of program {} is there", named(of))))
            .collect()
    }
}

/// What processes hold by their descriptors.
#[derive(Debug, Default)]
struct Held {
    programs: HashSet<u32>,
    links: HashSet<u32>,
}

impl Held {
    fn by_all() -> Self {
        let mut held = Self::default();
        command::processes().for_each(|pid| held.add(pid));
        held
    }

    fn add(&mut self, pid: Pid) {
        for fields in held_programs::descriptors(pid) {
            let id = |name: &str| fields.get(name)?.parse::<u32>().ok();
            self.programs.extend(id("prog_id"));
            self.links.extend(id("link_id"));
        }
    }
}
