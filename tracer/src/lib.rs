//! `tracer` shows what a slow PostgreSQL commit waited for. This crate is what touches a
//! kernel, a server, a file or a terminal; what is made of the measurements is in
//! `tracer_core`.
//!
//! A [`command`] reads what was typed ([`cli`], `config`) and puts the others to work:
//! the tracing [`programs`], [`postgres`], the trace of commits, and faults ([`inject`]).
//! These know the [`kernel`], and not each other.

#![warn(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "they panic when the reader is gone; see `files` and `terminal`"
)]

pub mod cli;
pub mod command;
pub(crate) mod commit_trace;
pub(crate) mod config;
pub(crate) mod files;
#[doc(hidden)]
pub mod foreign;
pub mod inject;
pub mod kernel;
pub mod postgres;
pub mod programs;
pub(crate) mod terminal;
pub mod time;
