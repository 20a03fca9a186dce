//! What a server says for itself, on the clock of the trace: who replicates to whom, how
//! far behind, who waits, and what a commit takes. All of it by PostgreSQL's protocol.

pub(crate) mod answer_row;
pub mod connection;
pub(crate) mod latency_probe;
pub(crate) mod monitor;
pub(crate) mod raw;
pub mod sampler;

pub use crate::postgres::connection::target::{Target, TargetError};
pub(crate) use crate::postgres::monitor::Monitor;
