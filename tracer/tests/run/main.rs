//! `tracer run` on a real kernel, with real traffic: the real program, judged by
//! its report. Needs root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/datagrams.rs"]
mod datagrams;
#[path = "../common/exact.rs"]
mod exact;
#[path = "../common/fault.rs"]
mod fault;
#[path = "../common/kernel.rs"]
mod kernel;
#[path = "../common/outlet.rs"]
mod outlet;
#[path = "../common/pair.rs"]
mod pair;
#[path = "../common/program.rs"]
mod program;
#[path = "../common/report.rs"]
mod report;
#[path = "../common/storm.rs"]
mod storm;
#[path = "../common/surroundings.rs"]
mod surroundings;
#[path = "../common/tool.rs"]
mod tool;
#[path = "../common/traffic.rs"]
mod traffic;

mod base;
mod cli;
mod clock;
mod descriptors;
mod ending;
mod events;
mod filter;
mod interface;
mod kernels;
mod killed;
mod listen;
mod owner;
mod rotation;
mod stalled;
