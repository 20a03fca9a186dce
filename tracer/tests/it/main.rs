//! The real program: beside files, real namespaces, real kernels and real servers.
//!
//! What is in `files` needs nothing; everything else needs root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod check;
mod contract;
mod files;
mod inject;
mod postgres;
mod run;
mod support;
