//! Reading the kernel's own TCP counters, one set a network namespace.

mod file;

pub(crate) use file::{CounterFile, tcp_ext};
