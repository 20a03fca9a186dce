//! The primary's own disk is slow to take the WAL.

use crate::diagnosis::own_waits::own_waits;
use crate::diagnosis::rank::Ranked;
use crate::diagnosis::seen_events::{WaitEvent, clause};
use crate::evidence::Evidence;
use crate::evidence::blocked::WaitKind;
use crate::evidence::waiting::Waiting;
use crate::report::finding::Cause;

/// What of it: one backend writes and syncs for all, and the others wait for its lock
/// (`XLogFlush()`,
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/access/transam/xlog.c>).
const EVENTS: [WaitEvent; 4] = [
    WaitEvent {
        kind: None,
        name: "WALSync",
        what: "a backend waited for the sync (WALSync)",
    },
    WaitEvent {
        kind: Some("IO"),
        name: "WALWrite",
        what: "a backend waited for the write (WALWrite)",
    },
    WaitEvent {
        kind: Some("LWLock"),
        name: "WALWrite",
        what: "a backend waited while another one wrote and synced (lock WALWrite)",
    },
    WaitEvent {
        kind: Some("LWLock"),
        name: "WALInsert",
        what: "a backend waited to insert WAL (lock WALInsert)",
    },
];

pub(super) fn finding(evidence: &Evidence<'_>, _: &Waiting<'_>) -> Option<Ranked> {
    let what = "for WAL to reach the primary's own disk";
    let mut found = own_waits(evidence, WaitKind::Wal, Cause::WalFlush, what)?;
    if let Some(seen) = clause(evidence.blocked(WaitKind::Wal), &EVENTS) {
        let text = found.finding.text.trim_end_matches('.');
        found.finding.text = format!("{text}: {seen}.");
    }
    Some(found)
}
