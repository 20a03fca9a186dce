//! A real cluster on one machine, and the experiments with it.
//!
//! Patroni, etcd, HAProxy and PostgreSQL as Debian packages them, each host in a
//! namespace of its own.

mod cluster;
mod context;
mod daemon;
mod disk;
mod etcd;
pub mod experiment;
pub(crate) mod format;
mod haproxy;
pub(crate) mod leftover;
mod outcome;
mod overlap;
mod patroni;
pub(crate) mod provenance;
mod result;
mod runner;
pub(crate) mod staging;
pub(crate) mod supervisor;
pub mod timing;
mod tracer;
mod verify;
mod watch;
