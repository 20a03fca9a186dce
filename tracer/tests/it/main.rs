//! The real program: beside files, real namespaces, real kernels and real servers.
//!
//! What is in `files` needs nothing but where a name ends with `_as_root`; everything else
//! needs root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod check;
mod contract;
mod files;
mod inject;
mod postgres;
mod run;
mod support;
