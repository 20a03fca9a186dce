//! `tracer run` on a real kernel, with real traffic: the real program, judged by
//! its report. Needs root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/kernel.rs"]
mod kernel;
#[path = "common/pair.rs"]
mod pair;
#[path = "common/report.rs"]
mod report;
#[path = "common/tool.rs"]
mod tool;
#[path = "common/traffic.rs"]
mod traffic;

#[path = "run/base.rs"]
mod base;

#[path = "run/cli.rs"]
mod cli;
#[path = "run/counts.rs"]
mod counts;
#[path = "run/events.rs"]
mod events;
#[path = "run/filter.rs"]
mod filter;
#[path = "run/kinds.rs"]
mod kinds;
#[path = "run/owner.rs"]
mod owner;
