//! What is wrong with the guard.

use std::io;
use std::time::Duration;

use thiserror::Error;

/// Why there is no guard, or none any more.
#[derive(Debug, Error)]
pub(crate) enum GuardError {
    #[error("cannot start it: {0}")]
    Start(io::Error),
    #[error("cannot talk to it: {0}")]
    Talk(io::Error),
    #[error("cannot hold its record: {0}")]
    Share(io::Error),
    #[error("it gave no answer within {} s", .0.as_secs())]
    Silent(Duration),
    #[error("it ended without an answer")]
    Gone,
    #[error("{0}")]
    Refused(String),
}
