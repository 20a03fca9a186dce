//! A function that is watched to split commits or to follow WAL.

use serde::{Deserialize, Serialize};

/// What was seen of it in one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookReport {
    /// Its name.
    pub function: String,
    /// How often it was seen: commits of those that backends call, calls of those of walsenders,
    /// messages with WAL, flushes and replies of those of walreceivers.
    pub seen: u64,
    /// Why it is not believed to be seen: it never was, although what needs it happened. Nothing
    /// that rests on it is measured then. `null` if nothing speaks against it.
    pub reason: Option<String>,
}

impl HookReport {
    /// Of a function.
    #[must_use]
    pub fn new(function: &str, seen: u64, reason: Option<String>) -> Self {
        Self {
            function: function.to_owned(),
            seen,
            reason,
        }
    }
}
