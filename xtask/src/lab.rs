//! A real cluster on one machine, and the experiments with it.
//!
//! Patroni, etcd, HAProxy and PostgreSQL as Debian packages them, each host in a
//! namespace of its own.

mod clients;
pub mod cluster;
mod context;
mod daemon;
pub mod disk;
pub mod etcd;
pub mod experiment;
pub(crate) mod format;
pub mod haproxy;
pub(crate) mod leftover;
mod outcome;
mod overlap;
pub mod patroni;
pub mod provenance;
mod result;
mod runner;
pub(crate) mod staging;
pub(crate) mod supervisor;
pub mod timing;
mod tracer;
mod verify;
mod watch;
