//! What a server's processes were seen to call, and what that says of what was not seen.

use tracer_ebpf::{ServerCommits, ServerLayout};

use crate::report::hook::HookReport;

/// So many of what implies a call, and the call was not seen: fewer may be under way.
const ENOUGH: u64 = 3;

/// Why a function may not be seen although it is there.
const INLINED: &str = "the compiler may have inlined it";

/// The function that a walsender calls first to read WAL, by major version
/// (`XLogSendPhysical()`,
/// <https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/replication/walsender.c>).
#[must_use]
pub fn wal_read_name(version: Option<&str>) -> &'static str {
    match version.and_then(|version| version.parse::<u32>().ok()) {
        Some(major) if major >= 17 => "WALReadFromBuffers",
        _ => "WALRead",
    }
}

/// What was seen of one server, apart from its backends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeenHooks {
    /// Of its walsenders.
    pub walsenders: WalsenderCalls,
    /// Of its walreceivers.
    pub receivers: ReceiverCalls,
}

/// What a server's walsenders were seen to call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WalsenderCalls {
    /// `WALRead` or `WALReadFromBuffers`.
    pub wal_reads: u64,
    /// `SyncRepReleaseWaiters`.
    pub replies: u64,
    /// Its returns.
    pub returns: u64,
    /// TCP connections of walsenders that were met.
    pub connections: u64,
    /// Waits for a standby that ended.
    pub waits: u64,
    /// Those of them whose WAL a physical standby had confirmed.
    pub confirmed: u64,
    /// How often a walsender went on to take WAL although data of its standby had arrived, and
    /// no reply was seen to be handled.
    pub unhandled: u64,
}

/// What a server's walreceivers were seen to call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReceiverCalls {
    /// Messages with WAL, by `PQgetCopyData`.
    pub messages: u64,
    /// Replies, by `PQputCopyData`.
    pub replies: u64,
    /// Flushes, by `issue_xlog_fsync`.
    pub flushes: u64,
    /// Replies that said of more WAL than before that it is written.
    pub written: u64,
    /// Replies that said of WAL that was seen to arrive that it is flushed.
    pub flushed: u64,
}

/// What a server's backends were seen to call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackendCalls {
    /// Commits whose beginning and end were seen.
    pub commits: u64,
    /// Those of them whose flush was seen.
    pub flushed: u64,
    /// Commits that had to flush before any flush was seen.
    pub unflushed: u64,
    /// Waits whose beginning was not seen.
    pub unbegun: u64,
}

impl BackendCalls {
    /// Out of the sums of a server.
    #[must_use]
    pub fn of(sums: &ServerCommits) -> Self {
        Self {
            commits: sums.commits,
            flushed: sums.flushed(),
            unflushed: sums.unflushed,
            unbegun: sums.unbegun,
        }
    }

    /// Why no commit was counted, if it is known that there were some.
    #[must_use]
    pub fn no_beginning(&self) -> Option<String> {
        (self.commits == 0 && self.unbegun > 0).then(|| {
            never(
                "AfterTriggerEndXact",
                self.unbegun,
                "commit",
                "came to its end",
                "came to their end",
            )
        })
    }

    /// Why flushes were not measured, if it is known that there were some.
    #[must_use]
    pub fn no_flush(&self) -> Option<String> {
        (self.flushed == 0 && self.unflushed > 0).then(|| {
            never(
                "XLogFlush",
                self.unflushed,
                "commit",
                "waited for its disk",
                "waited for their disk",
            )
        })
    }

    /// What the report says of each function.
    #[must_use]
    pub fn hooks(&self) -> [HookReport; 3] {
        [
            HookReport::new("AfterTriggerEndXact", self.commits, self.no_beginning()),
            HookReport::new("XLogFlush", self.flushed, self.no_flush()),
            HookReport::new(
                "SyncRepWaitForLSN",
                self.commits.saturating_add(self.unbegun),
                None,
            ),
        ]
    }
}

impl WalsenderCalls {
    /// Adds what the kernel programs counted.
    pub(crate) fn add(&mut self, layout: &ServerLayout) {
        let [wal_reads, replies, returns] = layout.calls;
        self.wal_reads = self.wal_reads.saturating_add(wal_reads);
        self.replies = self.replies.saturating_add(replies);
        self.returns = self.returns.saturating_add(returns);
    }

    /// Why the stages of waits were not measured, if something of them was not seen.
    /// `wal_read`: the function by which a walsender reads.
    #[must_use]
    pub fn reason(&self, wal_read: &str) -> Option<String> {
        if self.waits == 0 {
            return None;
        }
        let ended = count(self.waits, "wait");
        let ended = format!("{ended} for a standby ended");
        if self.wal_reads == 0 && self.replies == 0 {
            return Some(format!(
                "no walsender was seen although {ended}: either none ran, or the compiler has \
                 inlined both {wal_read} and SyncRepReleaseWaiters"
            ));
        }
        if self.connections == 0 {
            return Some(format!(
                "no walsender was seen on a TCP connection although {ended}"
            ));
        }
        self.unread(wal_read)
            .or_else(|| self.unhandled())
            .or_else(|| self.unreturned())
    }

    fn unread(&self, wal_read: &str) -> Option<String> {
        (self.wal_reads == 0 && self.confirmed > 0).then(|| {
            let waits = count(self.confirmed, "wait");
            format!(
                "{wal_read} was never called although a standby confirmed what {waits} \
                 {} for: {INLINED}",
                if self.confirmed == 1 { "was" } else { "were" }
            )
        })
    }

    fn unhandled(&self) -> Option<String> {
        (self.replies == 0 && self.unhandled >= ENOUGH).then(|| {
            never(
                "SyncRepReleaseWaiters",
                self.waits,
                "wait",
                "ended",
                "ended",
            )
        })
    }

    fn unreturned(&self) -> Option<String> {
        (self.returns == 0 && self.replies >= ENOUGH).then(|| {
            format!(
                "SyncRepReleaseWaiters was called {} times and never seen to return",
                self.replies
            )
        })
    }

    /// What the report says of each function.
    #[must_use]
    pub fn hooks(&self, wal_read: &'static str) -> [HookReport; 2] {
        let unread = self.unread(wal_read).filter(|_| self.waits > 0);
        let unhandled = self.unhandled().or_else(|| self.unreturned());
        [
            HookReport::new(wal_read, self.wal_reads, unread),
            HookReport::new(
                "SyncRepReleaseWaiters",
                self.replies,
                unhandled.filter(|_| self.waits > 0),
            ),
        ]
    }
}

impl ReceiverCalls {
    fn unread(&self) -> Option<String> {
        (self.messages == 0 && self.written >= ENOUGH).then(|| {
            let replies = count(self.written, "reply");
            format!(
                "no message was seen to be read by PQgetCopyData although {replies} told of more \
                 WAL: its library may call it in another way"
            )
        })
    }

    fn unflushed(&self) -> Option<String> {
        (self.flushes == 0 && self.flushed > 0).then(|| {
            let replies = count(self.flushed, "reply");
            format!(
                "issue_xlog_fsync was never called although {replies} told of more WAL that is \
                 flushed: {INLINED}"
            )
        })
    }

    fn unreplied(&self) -> Option<String> {
        (self.replies == 0 && self.flushes >= ENOUGH).then(|| {
            let flushes = count(self.flushes, "time");
            format!(
                "PQputCopyData was never called although WAL was flushed {flushes}: \
                 wal_receiver_status_interval is 0, or its library calls it in another way"
            )
        })
    }

    /// Why the stages were not measured, if something of them was not seen.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.unread()
            .or_else(|| self.unflushed())
            .or_else(|| self.unreplied())
    }

    /// What the report says of each function.
    #[must_use]
    pub fn hooks(&self) -> [HookReport; 3] {
        [
            HookReport::new("PQgetCopyData", self.messages, self.unread()),
            HookReport::new("issue_xlog_fsync", self.flushes, self.unflushed()),
            HookReport::new("PQputCopyData", self.replies, self.unreplied()),
        ]
    }
}

/// That a function was never called although so many did what implies it.
fn never(function: &str, number: u64, what: &str, one: &str, several: &str) -> String {
    let did = if number == 1 { one } else { several };
    let number = count(number, what);
    format!("{function} was never called although {number} {did}: {INLINED}")
}

fn count(number: u64, what: &str) -> String {
    match (number, what.strip_suffix('y')) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walsenders() -> WalsenderCalls {
        WalsenderCalls {
            wal_reads: 400,
            replies: 700,
            returns: 700,
            connections: 1,
            waits: 312,
            confirmed: 312,
            unhandled: 0,
        }
    }

    fn reason(calls: WalsenderCalls) -> String {
        calls.reason("WALRead").unwrap_or_default()
    }

    #[test]
    fn where_all_is_seen_nothing_is_said_against_it() {
        assert_eq!(walsenders().reason("WALRead"), None);
        let hooks = walsenders().hooks("WALRead");
        assert!(hooks.iter().all(|hook| hook.reason.is_none()));
        assert_eq!(hooks[0].seen, 400);
        let receivers = ReceiverCalls {
            messages: 5,
            replies: 9,
            flushes: 4,
            written: 5,
            flushed: 4,
        };
        assert_eq!(receivers.reason(), None);
    }

    #[test]
    fn a_release_that_never_fires_is_named() {
        let calls = WalsenderCalls {
            replies: 0,
            returns: 0,
            confirmed: 0,
            unhandled: 600,
            ..walsenders()
        };
        assert_eq!(
            reason(calls),
            "SyncRepReleaseWaiters was never called although 312 waits ended: the compiler may \
             have inlined it"
        );
        assert_eq!(calls.hooks("WALRead")[1].reason, Some(reason(calls)));
        assert_eq!(calls.hooks("WALRead")[0].reason, None);
        // A standby that does not reply while its client gives up says nothing of the function.
        let silent = WalsenderCalls {
            waits: 1,
            unhandled: 1,
            ..calls
        };
        assert_eq!(silent.reason("WALRead"), None);
    }

    #[test]
    fn a_read_that_never_fires_is_named_by_its_version_s_name() {
        let calls = WalsenderCalls {
            wal_reads: 0,
            ..walsenders()
        };
        for (version, name) in [("16", "WALRead"), ("17", "WALReadFromBuffers")] {
            let name = wal_read_name(Some(version)).eq(name).then_some(name);
            let reason = calls.reason(name.unwrap()).unwrap();
            assert!(
                reason.starts_with(&format!("{} was never called", name.unwrap())),
                "{reason}"
            );
        }
        // Only logical standbys, which are read for in another way.
        let logical = WalsenderCalls {
            confirmed: 0,
            ..calls
        };
        assert_eq!(logical.reason("WALReadFromBuffers"), None);
    }

    #[test]
    fn without_any_walsender_both_possibilities_are_said() {
        let calls = WalsenderCalls {
            waits: 2,
            ..WalsenderCalls::default()
        };
        let reason = reason(calls);
        assert!(reason.starts_with("no walsender was seen although 2 waits"));
        assert!(reason.contains("either none ran"), "{reason}");
        assert_eq!(WalsenderCalls::default().reason("WALRead"), None);
        let socket_file = WalsenderCalls {
            connections: 0,
            ..walsenders()
        };
        assert!(self::reason(socket_file).contains("TCP"));
    }

    #[test]
    fn a_return_that_is_never_seen_is_named() {
        let calls = WalsenderCalls {
            returns: 0,
            confirmed: 0,
            ..walsenders()
        };
        assert!(reason(calls).ends_with("never seen to return"));
    }

    #[test]
    fn a_flush_that_is_never_seen_is_not_a_flush_of_no_time() {
        let calls = BackendCalls {
            commits: 20,
            unflushed: 1,
            ..BackendCalls::default()
        };
        assert_eq!(
            calls.no_flush().unwrap(),
            "XLogFlush was never called although 1 commit waited for its disk: the compiler may \
             have inlined it"
        );
        // With synchronous_commit = off none has to be.
        let asynchronous = BackendCalls {
            unflushed: 0,
            ..calls
        };
        assert_eq!(asynchronous.no_flush(), None);
        let seen = BackendCalls {
            flushed: 1,
            ..calls
        };
        assert_eq!(seen.no_flush(), None);
    }

    #[test]
    fn commits_without_a_beginning_are_not_no_commits() {
        let calls = BackendCalls {
            unbegun: 7,
            ..BackendCalls::default()
        };
        let reason = calls.no_beginning().unwrap();
        assert!(reason.contains("AfterTriggerEndXact") && reason.contains("7 commits"));
        let some = BackendCalls {
            commits: 1,
            ..calls
        };
        assert_eq!(some.no_beginning(), None);
        assert_eq!(some.hooks()[2].seen, 8);
    }

    #[test]
    fn what_a_walreceiver_never_calls_is_named() {
        let all = ReceiverCalls {
            messages: 50,
            replies: 90,
            flushes: 40,
            written: 50,
            flushed: 40,
        };
        let reason = |calls: ReceiverCalls| calls.reason().unwrap_or_default();
        let inlined = ReceiverCalls { flushes: 0, ..all };
        assert!(reason(inlined).starts_with("issue_xlog_fsync was never called"));
        let mute = ReceiverCalls { replies: 0, ..all };
        assert!(reason(mute).contains("wal_receiver_status_interval"));
        let blind = ReceiverCalls { messages: 0, ..all };
        assert!(reason(blind).contains("PQgetCopyData"));
        // The first flush is answered in a moment.
        let early = ReceiverCalls {
            replies: 0,
            flushes: 1,
            ..all
        };
        assert_eq!(early.reason(), None);
    }
}
