//! The database beside the network, on the same clock: who replicates to whom, how
//! far behind, who waits, and what commits waited for.

pub mod bounds;
pub mod commits;
pub mod connect;
pub mod dsn;
pub(crate) mod elf;
pub mod passfile;
pub mod probe;
pub mod processors;
pub mod query;
mod raw;
pub mod room;
pub mod sampler;
pub(crate) mod server;
pub(crate) mod statements;
pub mod target;
pub mod tls;
pub mod watch;

pub use crate::postgres::commits::Commits;
pub use crate::postgres::processors::Processors;

pub use crate::postgres::target::{Target, TargetError};
pub use crate::postgres::watch::Watch;
