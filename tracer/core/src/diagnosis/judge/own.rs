//! Waits that have nothing to do with a standby: for this server's disk, and for
//! other transactions.

use std::collections::HashSet;

use crate::diagnosis::judge::{Case, Weighed, duration_s, lasted, most, sample};
use crate::evidence::blocked::{Slice, Sort, waited_s};
use crate::report::finding::{Cause, Confidence, Finding, Size};

/// Who waits for a lock while its holder waits for something else waits for that.
const BEHIND: f64 = 0.5;
/// How much more than for all else is a clear case.
const CLEARLY: f64 = 2.0;

pub(crate) fn judge(case: &Case<'_>) -> Vec<Weighed> {
    let mut found = Vec::new();
    let numbers = |held: &[Slice<'_>]| held.iter().map(|slice| slice.index).collect();
    let mut earlier: HashSet<usize> = numbers(case.held(Sort::SyncRep));
    for (sort, cause, what) in [
        (
            Sort::Wal,
            Cause::WalFlush,
            "for the primary's own log to reach its disk (WALSync, WALWrite)",
        ),
        (
            Sort::Lock,
            Cause::LockWaits,
            "for locks that other transactions hold",
        ),
    ] {
        let held = case.held(sort);
        let all_s = waited_s(held.iter(), sort);
        let behind = |slice: &&Slice<'_>| sort == Sort::Lock && earlier.contains(&slice.index);
        let behind_s = waited_s(held.iter().filter(behind), sort);
        if lasted(held) && behind_s < BEHIND * all_s {
            found.extend(finding(case, sort, cause, what));
        }
        earlier.extend(held.iter().map(|slice| slice.index));
    }
    found
}

fn finding(case: &Case<'_>, sort: Sort, cause: Cause, what: &str) -> Option<Weighed> {
    let held = case.held(sort);
    let (index, waiters) = most(held.iter(), sort)?;
    let waited = waited_s(held.iter(), sort);
    let others = Sort::ALL.into_iter().filter(|other| *other != sort);
    let others: f64 = others
        .map(|other| waited_s(case.held(other).iter(), other))
        .sum();
    let duration = duration_s(held.iter());
    let finding = Finding {
        text: format!("Up to {waiters} backends at once waited {what}, over {duration:.1} s."),
        cause,
        confidence: if waited >= CLEARLY * others {
            Confidence::High
        } else {
            Confidence::Medium
        },
        size: Size {
            duration_s: Some(duration),
            waited_s: Some(waited),
            waiters_max: Some(waiters),
            ..Size::default()
        },
        evidence: vec![sample(index, "waits")],
    };
    Some((waited, finding))
}
