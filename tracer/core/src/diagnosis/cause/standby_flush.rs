//! The standby has WAL that it is slow to bring to its disk.

use crate::diagnosis::standby_lag::Lag;
use crate::evidence::Evidence;
use crate::evidence::waiting::Waiting;
use crate::report::finding::{Cause, Finding};

const LAG: Lag = Lag {
    missing: |one| Some(one.flush_lag_bytes?.saturating_sub(one.write_lag_bytes?)),
    cause: Cause::StandbyFlush,
    what: "flush WAL to its disk",
    left: "written and not flushed",
    fields: ["write_lag_bytes", "flush_lag_bytes"],
};

pub(super) fn finding(evidence: &Evidence<'_>, kept: &Waiting<'_>) -> Option<Finding> {
    LAG.finding(evidence, kept)
}
