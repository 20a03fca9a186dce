//! The database beside the network, on the same clock: who replicates to whom, how
//! far behind, who waits, and what commits waited for.

pub mod awaited;
pub mod bounds;
pub mod commits;
pub mod connect;
pub mod dsn;
pub(crate) mod elf;
pub mod gap;
pub mod passfile;
pub mod probe;
pub mod processors;
pub mod query;
mod raw;
pub mod record;
pub mod report;
pub mod role;
pub mod room;
pub mod sample;
pub mod sampler;
pub(crate) mod server;
pub mod standby;
pub mod statements;
pub mod status;
pub mod summary;
pub mod target;
pub mod text;
pub mod tls;
pub mod watch;

pub use commits::{Commits, CommitsReport};
pub use processors::Processors;
pub use record::Record;
pub use report::PostgresReport;
pub use role::{FlowRole, Known};
pub use status::Status;
pub use target::{Target, TargetError};
pub use watch::Watch;
