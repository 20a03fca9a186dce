//! `tracer run --pg` beside real servers: a primary and its synchronous standby in
//! two namespaces, judged by what they say themselves. Needs root.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod certificates;
mod commits;
mod container;
mod hostile;
mod login;
mod named;
mod namesakes;
mod octets;
mod pidns;
mod probe;
mod refused;
mod rights;
mod roles;
mod server;
mod sides;
mod statements;
mod untracked;
mod verdict;
mod versions;
mod watched;
