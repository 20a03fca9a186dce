//! What the recording shows, before any cause is asked: who waited for what, which
//! standby was awaited, what was lost, how long round trips took.

pub(crate) mod blocked;
pub(crate) mod cpu;
pub(crate) mod links;
pub(crate) mod loss_episode;
pub(crate) mod rtt;
pub(crate) mod silence;

pub use links::hold_commits;
