//! The commands that read files and nothing else: the real program, without root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerts;
mod docs;
mod frozen;
mod hostile;
mod killed;
mod merge;
mod program;
mod recordings;
mod replay;
mod report;
