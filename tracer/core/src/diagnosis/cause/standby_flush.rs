//! The standby has WAL that it is slow to bring to its disk.

use crate::diagnosis::cause::CauseRule;
use crate::diagnosis::standby_lag::Lag;
use crate::evidence::Evidence;
use crate::evidence::standby_wait::StandbyWait;
use crate::evidence::waiting::Waiting;
use crate::report::finding::{Cause, Finding};

/// See the file.
#[derive(Debug)]
pub(super) struct StandbyFlush;

const LAG: Lag = Lag {
    missing: |one| Some(one.flush_lag_bytes? - one.write_lag_bytes?),
    cause: Cause::StandbyFlush,
    what: "flush WAL to its disk",
    left: "written and not flushed",
    fields: ["write_lag_bytes", "flush_lag_bytes"],
};

impl CauseRule for StandbyFlush {
    fn claims(&self, wait: &StandbyWait<'_>) -> bool {
        wait.has_to_flush
    }

    fn of_waits(&self, _: &Evidence<'_>, kept: &Waiting<'_>) -> Option<Finding> {
        LAG.finding(kept)
    }
}
