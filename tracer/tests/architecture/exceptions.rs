//! What is not yet as it should be. These lists only shrink.

/// Rooms that use what stands above them.
pub(crate) const NOT_IN_THE_TABLE: &[&str] = &[
    "tracer/core/src/assemble/warnings.rs: render may not be used by assemble",
    "tracer/src/cli.rs: inject may not be used by cli",
    "tracer/src/cli.rs: postgres may not be used by cli",
    "tracer/src/fault.rs: app may not be used by fault",
    "tracer/src/kernel/netns.rs: preflight may not be used by kernel",
    "tracer/src/kernel/netns/list.rs: descriptors may not be used by kernel",
    "tracer/src/kernel/pidns.rs: process may not be used by kernel",
    "tracer/src/kernel/uprobes.rs: preflight may not be used by kernel",
    "tracer/src/merge.rs: present may not be used by merge",
    "tracer/src/postgres/commits/program.rs: probe may not be used by postgres",
    "tracer/src/preflight.rs: kernel may not be used by preflight",
    "tracer/src/probe/loader.rs: cli may not be used by probe",
    "tracer/src/program.rs: postgres may not be used by program",
    "tracer/src/replay.rs: present may not be used by replay",
    "tracer/src/replay/source.rs: present may not be used by replay",
];

/// Modules of one parent that use each other.
pub(crate) const CIRCLES: &[&str] = &[
    "tracer/src/inject: circle of active, place, report, request, survey",
    "tracer/src/inject: circle of error, guard, layout, origin, program, record, undo",
    "tracer/src/output: circle of file, target, writer",
    "tracer/src/postgres: circle of bounds, connect",
    "tracer/src/postgres: circle of query, statements",
    "tracer/src: circle of cli, inject, kernel, postgres, preflight, probe, process, program",
];

/// Files that are too long.
pub(crate) const LONG: &[&str] = &[];

/// Files that do not say first what they are.
pub(crate) const UNTITLED: &[&str] = &["tracer/src/kernel/btf/tests.rs: does not begin with `//!`"];

/// Names that stand for several types.
pub(crate) const NAMED_TWICE: &[&str] = &[
    "tracer/core/src: type Gaps has a namesake",
    "tracer/core/src: type Moment has a namesake",
    "tracer/core/src: type Record has a namesake",
    "tracer/core/src: type Standby has a namesake",
    "tracer/core/src: type Step has a namesake",
    "tracer/core/src: type Table has a namesake",
    "tracer/core/src: type Tally has a namesake",
    "tracer/core/src: type Waiting has a namesake",
    "tracer/src: type Answer has a namesake",
    "tracer/src: type Command has a namesake",
    "tracer/src: type Draft has a namesake",
    "tracer/src: type End has a namesake",
    "tracer/src: type Family has a namesake",
    "tracer/src: type Fate has a namesake",
    "tracer/src: type Found has a namesake",
    "tracer/src: type Handle has a namesake",
    "tracer/src: type Held has a namesake",
    "tracer/src: type Hook has a namesake",
    "tracer/src: type Identity has a namesake",
    "tracer/src: type Link has a namesake",
    "tracer/src: type Order has a namesake",
    "tracer/src: type Place has a namesake",
    "tracer/src: type Probe has a namesake",
    "tracer/src: type Program has a namesake",
    "tracer/src: type Request has a namesake",
    "tracer/src: type Row has a namesake",
    "tracer/src: type Shared has a namesake",
    "tracer/src: type Shown has a namesake",
    "tracer/src: type State has a namesake",
    "tracer/src: type Surroundings has a namesake",
    "tracer/src: type Target has a namesake",
    "tracer/src: type Watch has a namesake",
    "tracer/src: type Ways has a namesake",
];

/// Limits that do not say of what.
pub(crate) const UNNAMED_LIMITS: &[&str] = &[
    "tracer/src/inject/record.rs: MOST of what?",
    "tracer/src/postgres/connect/frames.rs: MOST of what?",
    "tracer/src/postgres/room.rs: LEAST of what?",
    "tracer/src/replay/order.rs: MOST of what?",
    "tracer/src/replay/source.rs: MOST of what?",
];
