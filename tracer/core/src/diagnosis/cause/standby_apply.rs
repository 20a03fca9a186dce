//! The standby has WAL on its disk that it is slow to replay.

use crate::diagnosis::standby_lag::Lag;
use crate::evidence::Evidence;
use crate::evidence::waiting::Waiting;
use crate::report::finding::{Cause, Finding};

const LAG: Lag = Lag {
    missing: |one| Some(one.replay_lag_bytes?.saturating_sub(one.flush_lag_bytes?)),
    cause: Cause::StandbyApply,
    what: "replay WAL (synchronous_commit = remote_apply)",
    left: "flushed and not replayed",
    fields: ["flush_lag_bytes", "replay_lag_bytes"],
};

pub(super) fn finding(evidence: &Evidence<'_>, kept: &Waiting<'_>) -> Option<Finding> {
    LAG.finding(evidence, kept)
}
