//! Everything that surrounds the tool, in four wings: what a developer runs
//! ([`task`]), what the tests of `tracer` build their networks and servers with
//! ([`testbed`]), what has to be on this machine for both ([`provision`]), and the
//! cluster of the experiments ([`lab`]).
//!
//! A library so that tests and demo run on the same code.

pub mod lab;
pub mod provision;
pub mod task;
pub mod testbed;
