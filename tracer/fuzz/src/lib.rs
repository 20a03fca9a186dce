//! What everything in tracer that reads foreign bytes has to stand: one module each, whose
//! `target` takes any input and panics where something is wrong, and not only where tracer
//! does. Each says what its bytes are.
//!
//! `cargo xtask fuzz` looks for input that makes one panic, led by what code it reaches.
//! What is in `corpus/` is fed to all of them by this crate's test, without libFuzzer.

#![allow(
    clippy::expect_used,
    reason = "a target is a test: what is not as it expects is what it is to find"
)]

pub mod answer;
mod base;
pub mod btf;
pub mod certificate;
pub mod compare;
pub mod condition;
pub mod dsn;
pub mod duration;
pub mod elf;
pub mod event;
pub mod fault;
pub mod leftover;
pub mod merge;
pub mod message;
pub mod netlink;
pub mod passfile;
mod patch;
pub mod peer;
pub mod proc;
pub mod recording;
pub mod report;
pub mod service;
mod shown;
pub mod socket;
pub mod stages;
pub mod standbys;

/// A target, which takes any bytes, by its name.
pub type Target = (&'static str, fn(&[u8]));

/// Every target. Its name is also that of its folder in `corpus/`.
pub const TARGETS: [Target; 23] = [
    ("answer", answer::target),
    ("btf", btf::target),
    ("certificate", certificate::target),
    ("compare", compare::target),
    ("condition", condition::target),
    ("dsn", dsn::target),
    ("duration", duration::target),
    ("elf", elf::target),
    ("event", event::target),
    ("fault", fault::target),
    ("leftover", leftover::target),
    ("merge", merge::target),
    ("message", message::target),
    ("netlink", netlink::target),
    ("passfile", passfile::target),
    ("peer", peer::target),
    ("proc", proc::target),
    ("recording", recording::target),
    ("report", report::target),
    ("service", service::target),
    ("socket", socket::target),
    ("stages", stages::target),
    ("standbys", standbys::target),
];
