//! `tracer run --pg` beside real servers: a primary and its synchronous standby in
//! two namespaces, judged by what they say themselves. Needs root.

mod certificates;
mod commits;
mod connections;
mod conninfo;
mod container;
mod footprint;
mod hooks;
mod hostile;
mod journey;
mod login;
mod named;
mod namesakes;
mod octets;
mod pidns;
mod pooler;
mod probe;
mod published;
mod receiver;
mod refused;
mod replay;
mod rights;
mod roles;
mod server;
mod services;
mod sides;
mod stages;
mod statements;
mod stopped_at;
mod untracked;
mod untrusted;
mod verdict;
mod versions;
pub(crate) mod watched;
