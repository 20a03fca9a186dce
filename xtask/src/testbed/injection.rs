//! What `tracer inject` writes of what it did.

use serde::{Deserialize, Serialize};
use tracer_core::report::{self, Fault, ReadError, Tool};

pub(crate) const SCHEMA: &str = "tracer.inject/1";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Injection {
    pub(crate) schema: String,
    pub(crate) tool: Tool,
    pub(crate) faults: Vec<Fault>,
}

impl Injection {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        report::read(bytes, &[SCHEMA])
    }
}
