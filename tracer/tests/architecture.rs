//! The rooms of the program and of its core, and who may use which: read from the sources,
//! and held against the tables below. Beside it what no compiler looks after: modules in a
//! circle, files that grow, names that stand for two things.
//! There are no exceptions.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[path = "architecture/layers.rs"]
mod layers;
#[path = "architecture/source.rs"]
mod source;

use layers::{ALLOWED, ALLOWED_IN_CORE, APART, Rooms};
use source::Source;

/// The longest that a file may be, lines.
const MAX_LINES: usize = 500;

/// A crate whose sources are read.
struct Crate {
    root: &'static str,
    /// `None` if it is one room.
    allowed: Option<Rooms>,
}

const CRATES: [Crate; 4] = [
    Crate {
        root: "tracer/src",
        allowed: Some(ALLOWED),
    },
    Crate {
        root: "tracer/core/src",
        allowed: Some(ALLOWED_IN_CORE),
    },
    Crate {
        root: "tracer-ebpf/src",
        allowed: None,
    },
    Crate {
        root: "xtask/src",
        allowed: None,
    },
];

/// Where else there are files of ours.
const OTHERS: [&str; 5] = [
    "tracer/tests",
    "tracer/fuzz",
    "tracer/core/tests",
    "tracer-ebpf/tests",
    "xtask/tests",
];

/// Something that is not as it should be, as it is told: `tracer/src/x.rs:259: …`.
#[derive(Debug, PartialEq, Eq)]
struct Violation(String);

impl Violation {
    fn at(path: &str, line: usize, what: &str) -> Self {
        Self(format!("{path}:{line}: {what}"))
    }

    fn of(path: &str, what: &str) -> Self {
        Self(format!("{path}: {what}"))
    }
}

/// There is none.
fn expect_none(found: &[Violation]) {
    let told = told(found);
    assert!(told.is_empty(), "\n{}\n", told.join("\n"));
}

/// Who uses what the table does not say, and who is not in it.
fn strangers(sources: &[Source], allowed: Rooms) -> Vec<Violation> {
    let modules = source::modules(sources);
    let mut found = BTreeMap::new();
    for source in sources {
        let from = source.room();
        let row = allowed.iter().find(|(room, _)| *room == from);
        if row.is_none() {
            let what = format!("{from} is not in the table of rooms");
            let violation = Violation::of(&source.path, &what);
            found.insert((&source.path, what), violation);
        }
        for (line, target) in source.uses(&modules) {
            let to = target.first().map_or("lib", String::as_str);
            let known = row.is_none_or(|(_, allowed)| allowed.contains(&to));
            if to != from && !known {
                let what = format!("{to} may not be used by {from}");
                let violation = Violation::at(&source.path, line, &what);
                found.entry((&source.path, what)).or_insert(violation);
            }
        }
    }
    found.into_values().collect()
}

/// What the table allows and nobody does: it is to be the picture of what is.
fn unused(root: &str, sources: &[Source], allowed: Rooms) -> Vec<Violation> {
    let modules = source::modules(sources);
    let mut used = BTreeSet::new();
    for source in sources {
        let targets = source.uses(&modules).into_iter();
        let rooms = targets.filter_map(|(_, target)| target.first().cloned());
        used.extend(rooms.map(|to| (source.room().to_owned(), to)));
    }
    let mut found = Vec::new();
    for (from, rooms) in allowed {
        if sources.iter().all(|source| source.room() != *from) {
            found.push(Violation::of(root, &format!("there is no {from}")));
        }
        for to in *rooms {
            if !used.contains(&((*from).to_owned(), (*to).to_owned())) {
                found.push(Violation::of(root, &format!("{to} is not used by {from}")));
            }
        }
    }
    found
}

/// Modules of one folder that use each other though they are to stand apart.
fn neighbours(root: &str, sources: &[Source], apart: Rooms) -> Vec<Violation> {
    let modules = source::modules(sources);
    let mut found = BTreeMap::new();
    for (folder, shared) in apart {
        let Some(folder) = folder.strip_prefix(root) else {
            continue;
        };
        let parent: Vec<&str> = folder.split('/').filter(|one| !one.is_empty()).collect();
        let child = |module: &[String]| match module.get(..parent.len()) {
            Some(start) if start == parent => module.get(parent.len()).cloned(),
            _ => None,
        };
        for source in sources {
            let Some(from) = child(&source.module) else {
                continue;
            };
            for (line, target) in source.uses(&modules) {
                let to = child(&target).filter(|to| *to != from && !shared.contains(&to.as_str()));
                if let Some(to) = to {
                    let what = format!("{to} may not be used by its neighbour {from}");
                    let violation = Violation::at(&source.path, line, &what);
                    found.entry((&source.path, what)).or_insert(violation);
                }
            }
        }
    }
    found.into_values().collect()
}

/// Modules of one parent that use each other, be it by way of others.
fn circles(root: &str, sources: &[Source]) -> Vec<Violation> {
    let modules = source::modules(sources);
    let mut graphs: BTreeMap<Vec<String>, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for source in sources {
        for (_, target) in source.uses(&modules) {
            let pairs = source.module.iter().zip(&target);
            let common = pairs.take_while(|(one, other)| one == other).count();
            // Parents and what is in them are one thing.
            if let (Some(from), Some(to)) = (source.module.get(common), target.get(common)) {
                let graph = graphs.entry(target[..common].to_vec()).or_default();
                graph.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    let mut found = Vec::new();
    for (parent, graph) in &graphs {
        let mut named = BTreeSet::new();
        for module in graph.keys() {
            let there = reached(graph, module);
            let circle = there
                .iter()
                .filter(|one| reached(graph, one).contains(module));
            let names = circle.cloned().collect::<Vec<_>>().join(", ");
            if there.contains(module) && named.insert(names.clone()) {
                let folder = parent
                    .iter()
                    .fold(root.to_owned(), |path, one| path + "/" + one);
                found.push(Violation::of(&folder, &format!("circle of {names}")));
            }
        }
    }
    found
}

/// All that a module uses, be it by way of others.
fn reached(graph: &BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(module) = open.pop() {
        for next in graph.get(&module).into_iter().flatten() {
            if reached.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    reached
}

/// Names that several types of a crate have.
fn namesakes(root: &str, sources: &[Source]) -> Vec<Violation> {
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for source in sources {
        for (line, name) in &source.types {
            let place = format!("{}:{line}", source.path);
            places.entry(name).or_default().push(place);
        }
    }
    let several = places.iter().filter(|(_, places)| places.len() > 1);
    let violation = |(name, places): (&&str, &Vec<String>)| {
        let places = places.join(", ");
        Violation(format!("{root}: type {name} has a namesake: {places}"))
    };
    several.map(violation).collect()
}

fn untitled(sources: &[Source]) -> Vec<Violation> {
    let untitled = sources.iter().filter(|one| !one.titled);
    untitled
        .map(|one| Violation::at(&one.path, 1, "does not begin with `//!`"))
        .collect()
}

fn long(sources: &[Source]) -> Vec<Violation> {
    let long = sources.iter().filter(|one| one.lines > MAX_LINES);
    long.map(|one| Violation::of(&one.path, &format!("more than {MAX_LINES} lines")))
        .collect()
}

fn unnamed_limits(sources: &[Source]) -> Vec<Violation> {
    let of = |source: &Source| -> Vec<Violation> {
        let limits = source.limits.iter();
        limits
            .map(|(line, name)| Violation::at(&source.path, *line, &format!("{name} of what?")))
            .collect()
    };
    sources.iter().flat_map(of).collect()
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Every source below a folder of the repository.
fn read(root: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut open = vec![repository().join(root)];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // What cargo makes of a crate is not ours.
                if !path.ends_with("target") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(repository()).unwrap();
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source::read(root, name.to_str().unwrap(), &text));
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn in_every_crate(rule: impl Fn(&Crate, &[Source]) -> Vec<Violation>) -> Vec<Violation> {
    let of = |one: &Crate| {
        let sources = read(one.root);
        assert!(!sources.is_empty(), "no source in {}", one.root);
        rule(one, &sources)
    };
    CRATES.iter().flat_map(of).collect()
}

fn every_file() -> Vec<Source> {
    let roots = CRATES.iter().map(|one| one.root).chain(OTHERS);
    roots.flat_map(read).collect()
}

#[test]
fn rooms_use_what_the_table_says() {
    let found = in_every_crate(|one, sources| {
        one.allowed
            .map_or_else(Vec::new, |allowed| strangers(sources, allowed))
    });
    expect_none(&found);
}

#[test]
fn the_table_says_no_more_than_is() {
    let found = in_every_crate(|one, sources| {
        one.allowed
            .map_or_else(Vec::new, |allowed| unused(one.root, sources, allowed))
    });
    expect_none(&found);
}

#[test]
fn commands_and_causes_stand_apart() {
    let found = in_every_crate(|one, sources| neighbours(one.root, sources, APART));
    expect_none(&found);
}

#[test]
fn no_module_uses_itself_by_way_of_others() {
    let found = in_every_crate(|one, sources| match one.allowed {
        Some(_) => circles(one.root, sources),
        None => Vec::new(),
    });
    expect_none(&found);
}

#[test]
fn a_type_name_stands_for_one_thing() {
    let found = in_every_crate(|one, sources| namesakes(one.root, sources));
    expect_none(&found);
}

#[test]
fn every_file_says_first_what_it_is() {
    expect_none(&untitled(&every_file()));
}

#[test]
fn no_file_is_long() {
    expect_none(&long(&every_file()));
}

#[test]
fn a_limit_says_of_what() {
    expect_none(&unnamed_limits(&every_file()));
}

/// Two rooms of which the lower one uses the upper one.
fn planted() -> [Source; 2] {
    let command = "//! A command.\nuse crate::kernel::netns;\nstruct Row;\n";
    let kernel = "// A kernel.\nuse crate::{\n    command::Row as Line,\n};\nenum Row {}\n\
                  const MOST: u8 = 1;\nmod tests {\n    use crate::lib;\n}\n";
    [("command", command), ("kernel", kernel)]
        .map(|(name, text)| Source::read("tracer/src", &format!("tracer/src/{name}.rs"), text))
}

fn told(found: &[Violation]) -> Vec<&str> {
    found.iter().map(|one| one.0.as_str()).collect()
}

#[test]
fn what_is_planted_is_found() {
    let sources = planted();
    let rooms: Rooms = &[("command", &["kernel"]), ("kernel", &[])];
    let up = "tracer/src/kernel.rs:3: command may not be used by kernel";
    assert_eq!(told(&strangers(&sources, rooms)), [up]);
    let unknown = "tracer/src/command.rs: command is not in the table of rooms";
    assert_eq!(told(&strangers(&sources, &rooms[1..]))[0], unknown);
    let idle: Rooms = &[("command", &["kernel"]), ("kernel", &["command", "files"])];
    let unused = unused("tracer/src", &sources, idle);
    assert_eq!(told(&unused), ["tracer/src: files is not used by kernel"]);
    let apart: Rooms = &[("tracer/src", &["command"])];
    let neighbour = "tracer/src/command.rs:2: kernel may not be used by its neighbour command";
    let found = neighbours("tracer/src", &sources, apart);
    assert_eq!(told(&found), [neighbour]);
    let circle = "tracer/src: circle of command, kernel";
    assert_eq!(told(&circles("tracer/src", &sources)), [circle]);
    let types = "tracer/src: type Row has a namesake: \
                 tracer/src/command.rs:3, tracer/src/kernel.rs:5";
    assert_eq!(told(&namesakes("tracer/src", &sources)), [types]);
    let first = "tracer/src/kernel.rs:1: does not begin with `//!`";
    assert_eq!(told(&untitled(&sources)), [first]);
    let limit = "tracer/src/kernel.rs:6: MOST of what?";
    assert_eq!(told(&unnamed_limits(&sources)), [limit]);
    let lines = "//! Long.\n".repeat(MAX_LINES + 1);
    let source = Source::read("tracer/src", "tracer/src/long.rs", &lines);
    let long_one = "tracer/src/long.rs: more than 500 lines";
    assert_eq!(told(&long(&[source])), [long_one]);
}
