//! What a merged file holds: both reports as they were, and what they are together.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::merge::clock::Offset;
use crate::merge::connection::{Connection, OneSided};
use crate::merge::journey::Journey;
use crate::report::finding::Finding;
use crate::report::read::ReadError;
use crate::report::{self, Report, Tool, Window};

/// The version of the contract.
pub const SCHEMA: &str = "tracer.merge/2";
/// Those that can be read: in the first, reports are of their own first version.
pub const READABLE: [&str; 2] = [SCHEMA, "tracer.merge/1"];

/// One run, seen from two hosts; what belongs to each is in the order of `hosts`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Merged {
    /// [`SCHEMA`].
    pub schema: Cow<'static, str>,
    /// Which program merged.
    pub tool: Tool,
    /// The two.
    pub hosts: [MergedHost; 2],
    /// How their clocks relate.
    pub clock: Offset,
    /// When, on the first host's clock.
    pub window: Windows,
    /// What was found, what weighs most first: what the host says that saw who waited, with
    /// what the other saw of the same. Pointers lead into this file.
    pub findings: Vec<HostFinding>,
    /// What only the host saw that could not see who waited, and what no commit waited for as
    /// far as the other saw it.
    #[serde(default)]
    pub unwaited: Vec<HostFinding>,
    /// What slow commits waited for, followed through both hosts.
    #[serde(default)]
    pub journeys: Vec<Journey>,
    /// Connections that both saw, most retransmitted segments first.
    pub connections: Vec<Connection>,
    /// Flows that only one saw.
    pub one_sided: [OneSided; 2],
    /// What the reader must know before trusting the rest.
    pub warnings: Vec<String>,
    /// Both reports, as they were.
    pub reports: [Report; 2],
}

/// One side.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MergedHost {
    /// What it is called in this file: its name, or the file's if both have one name.
    pub label: String,
    /// Its name.
    pub name: String,
    /// Random id of its boot.
    pub boot_id: Option<String>,
    /// The namespace that was traced, if it was one.
    pub netns: Option<u32>,
    /// When its window began, from the start of the united one.
    pub starts_s: f64,
    /// How long its window was.
    pub duration_s: f64,
    /// Segments that it retransmitted to the peers that were asked for.
    pub segments: u64,
    /// Segments that it received with a bad checksum from them; `null` if it could not see that.
    pub arrived_damaged: Option<u64>,
}

/// When both were watched.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Windows {
    /// From the first start to the last end.
    pub united: Window,
    /// While both counted; `null` if they never did.
    pub common: Option<Window>,
}

/// What one host found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostFinding {
    /// Which, by its label.
    pub host: String,
    /// What.
    #[serde(flatten)]
    pub finding: Finding,
}

impl Merged {
    /// A merged file as it was written; one of an earlier version as this one writes it.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        let mut merged: Self = report::read(bytes, &READABLE)?;
        merged.schema = SCHEMA.into();
        for report in &mut merged.reports {
            report.schema = report::SCHEMA.into();
        }
        Ok(merged)
    }
}
