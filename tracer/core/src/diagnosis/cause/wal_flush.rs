//! The primary's own disk is slow to take the WAL.

use crate::diagnosis::own_waits::own_waits;
use crate::diagnosis::rank::Ranked;
use crate::evidence::Evidence;
use crate::evidence::blocked::WaitKind;
use crate::evidence::waiting::Waiting;
use crate::report::finding::Cause;

pub(super) fn finding(evidence: &Evidence<'_>, _: &Waiting<'_>) -> Option<Ranked> {
    let what = "for WAL to reach the primary's own disk (WALSync, WALWrite)";
    own_waits(evidence, WaitKind::Wal, Cause::WalFlush, what)
}
