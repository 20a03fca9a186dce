//! What could be watched on this kernel.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What became of one hook.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct HookStatus {
    /// The tracepoint.
    pub name: Cow<'static, str>,
    /// Whether its program runs.
    pub attached: bool,
    /// What is lost, if it does not run.
    pub consequence: Option<Cow<'static, str>>,
    /// Why it does not run.
    pub reason: Option<String>,
}
