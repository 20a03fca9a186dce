//! Transactions wait for each other's locks, and not for what keeps the holders.

use std::collections::HashSet;

use crate::diagnosis::own_waits::own_waits;
use crate::diagnosis::rank::Ranked;
use crate::evidence::Evidence;
use crate::evidence::blocked::{WaitKind, waited_s};
use crate::evidence::thresholds::MAX_BEHIND_OTHERS;
use crate::evidence::waiting::Waiting;
use crate::report::finding::Cause;

pub(super) fn finding(evidence: &Evidence<'_>, _: &Waiting<'_>) -> Option<Ranked> {
    if is_behind_others(evidence) {
        return None;
    }
    let what = "for locks that other transactions hold";
    own_waits(evidence, WaitKind::Lock, Cause::LockWaits, what)
}

/// Who waits for a lock while its holder waits for a standby or a disk waits for that.
fn is_behind_others(evidence: &Evidence<'_>) -> bool {
    let others = [WaitKind::SyncRep, WaitKind::Wal].into_iter();
    let others: HashSet<usize> = others
        .flat_map(|kind| evidence.blocked(kind))
        .map(|one| one.index)
        .collect();
    let locked = evidence.blocked(WaitKind::Lock);
    let all_s = waited_s(locked.iter(), WaitKind::Lock);
    let behind = locked.iter().filter(|one| others.contains(&one.index));
    waited_s(behind, WaitKind::Lock) >= MAX_BEHIND_OTHERS * all_s
}
