//! Whether the functions that split commits are called where they are watched, found out by
//! watching for a few seconds: with link-time optimisation a symbol may be there, and its
//! function put into its only caller.

use std::thread;
use std::time::Duration;

use tracer_core::recording::commits::{CommitsRecord, Server};
use tracer_core::report::hook::HookReport;

use crate::command::check::row::Group::Postgresql;
use crate::command::check::row::Row;
use crate::command::check::shortfall;
use crate::commit_trace::{CommitTrace, EarlierServers};
use crate::kernel::server;

/// Nobody waits longer for an answer.
const LONGEST_WATCH: Duration = Duration::from_secs(60);

/// Watches every server on this host for so long, or a minute at most, and makes a row of each.
pub(super) fn rows(lasts: Duration) -> Vec<Row> {
    let lasts = lasts.min(LONGEST_WATCH);
    let servers = server::all().unwrap_or_default();
    if servers.is_empty() {
        return Vec::new();
    }
    let trace = CommitTrace::start(Duration::MAX, None, EarlierServers::default());
    thread::sleep(lasts);
    let record = trace.finish();
    let within = format!("within {} s", lasts.as_secs_f64());
    let rows = servers.iter().map(|one| row(&record, one, &within));
    rows.collect()
}

fn row(record: &CommitsRecord, server: &server::Server, within: &str) -> Row {
    let name = format!("hooks, pid {}", server.pid);
    if let Some(reason) = &record.reason {
        return Row::unknown(Postgresql, name, format!("not tried: {reason}"));
    }
    let followed = record.servers.iter().find(|one| one.pid == server.pid);
    match followed {
        Some(followed) => judge(record, followed, server.is_standby(), name, within),
        None => Row::unknown(Postgresql, name, "not tried: its program cannot be watched"),
    }
}

/// What was seen of one server's functions.
fn judge(
    record: &CommitsRecord,
    server: &Server,
    is_standby: bool,
    name: String,
    within: &str,
) -> Row {
    let mut hooks = match is_standby {
        // Commits are the primary's.
        true => Vec::new(),
        false => record.hooks(server),
    };
    let followed = record.stages.as_ref().ok();
    if is_standby && let Some(followed) = followed {
        if let Some(reason) = followed.not_received.get(&server.pid) {
            return Row::unknown(Postgresql, name, format!("not tried: {reason}"));
        }
        hooks.extend(followed.received(server.pid).unwrap_or_default().hooks());
    }
    let dead: Vec<&str> = hooks
        .iter()
        .filter_map(|hook| hook.reason.as_deref())
        .collect();
    if !dead.is_empty() {
        return Row::no(Postgresql, name, dead.join("; "), shortfall::HOOKS);
    }
    let (seen, unseen): (Vec<&HookReport>, Vec<_>) = hooks.iter().partition(|hook| hook.seen > 0);
    if seen.is_empty() {
        let idle = match is_standby {
            true => "idle: no WAL was seen to arrive",
            false => "idle: no transaction that wrote something ended",
        };
        return Row::unknown(Postgresql, name, format!("{idle} {within}"));
    }
    let seen = seen
        .iter()
        .map(|hook| format!("{} {}", hook.function, hook.seen));
    let mut found = format!("seen {within}: {}", seen.collect::<Vec<_>>().join(", "));
    if !unseen.is_empty() {
        let unseen = unseen.iter().map(|hook| hook.function.as_str());
        found += "; nothing needed ";
        found += &unseen.collect::<Vec<_>>().join(", ");
    }
    Row::yes(Postgresql, name, found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tracer_core::recording::commits::{FollowedStages, Place, Slowest};
    use tracer_core::recording::programs::RunStats;
    use tracer_core::recording::seen_hooks::{ReceiverCalls, SeenHooks, WalsenderCalls};
    use tracer_ebpf::{Part, ServerCommits, bucket};

    use super::*;

    const WITHIN: &str = "within 3 s";

    fn sums(commits: u64, flushed: u64, unflushed: u64) -> ServerCommits {
        let mut sums = ServerCommits {
            commits,
            unflushed,
            ..ServerCommits::NONE
        };
        sums.buckets[Part::Flush as usize][bucket(1_000_000)] = flushed;
        sums
    }

    fn judged(sums: Option<ServerCommits>, seen: SeenHooks, is_standby: bool) -> Row {
        let server = Server {
            pid: 7,
            place: Place::default(),
            sums,
            dispersion: None,
            usual_ns: None,
            slow_from_ns: None,
            slow_times: Vec::new(),
            waiting: Vec::new(),
        };
        let record = record(&server, seen);
        judge(
            &record,
            &server,
            is_standby,
            "hooks, pid 7".to_owned(),
            WITHIN,
        )
    }

    fn record(server: &Server, seen: SeenHooks) -> CommitsRecord {
        CommitsRecord {
            slow: Duration::MAX,
            start_ns: 0,
            end_ns: 0,
            reason: None,
            binaries: Vec::new(),
            servers: vec![server.clone()],
            slowest: Slowest::default(),
            stages: Ok(FollowedStages {
                seen: BTreeMap::from([(7, seen)]),
                ..FollowedStages::default()
            }),
            given_up: 0,
            out_of_sight: 0,
            effort: RunStats::default(),
        }
    }

    #[test]
    fn who_did_nothing_is_idle_and_no_failure() {
        let row = judged(None, SeenHooks::default(), false);
        assert_eq!(row.ok, None);
        assert_eq!(
            row.found,
            "idle: no transaction that wrote something ended within 3 s"
        );
        let row = judged(None, SeenHooks::default(), true);
        assert_eq!(row.ok, None);
        assert!(row.found.starts_with("idle: no WAL"), "{}", row.found);
    }

    #[test]
    fn what_was_called_is_counted_and_what_nobody_needed_is_said() {
        let row = judged(Some(sums(5, 4, 0)), SeenHooks::default(), false);
        assert_eq!(row.ok, Some(true));
        assert_eq!(
            row.found,
            "seen within 3 s: AfterTriggerEndXact 5, XLogFlush 4, SyncRepWaitForLSN 5; nothing \
             needed WALRead, SyncRepReleaseWaiters"
        );
    }

    #[test]
    fn what_never_fires_although_it_must_is_a_gap() {
        let row = judged(Some(sums(5, 0, 5)), SeenHooks::default(), false);
        assert_eq!(row.ok, Some(false));
        assert!(
            row.found.contains("XLogFlush was never called"),
            "{}",
            row.found
        );
        assert!(row.consequence.is_some() && row.remedy.is_some());
        let walsenders = WalsenderCalls {
            wal_reads: 9,
            connections: 1,
            waits: 5,
            unhandled: 8,
            ..WalsenderCalls::default()
        };
        let seen = SeenHooks {
            walsenders,
            ..SeenHooks::default()
        };
        let row = judged(Some(sums(5, 5, 0)), seen, false);
        assert_eq!(row.ok, Some(false));
        assert!(
            row.found
                .starts_with("SyncRepReleaseWaiters was never called")
        );
    }

    #[test]
    fn of_what_is_not_watched_nothing_is_said() {
        let server = Server {
            pid: 7,
            place: Place::default(),
            sums: None,
            dispersion: None,
            usual_ns: None,
            slow_from_ns: None,
            slow_times: Vec::new(),
            waiting: Vec::new(),
        };
        let receivers = ReceiverCalls {
            messages: 3,
            replies: 6,
            written: 3,
            flushed: 3,
            flushes: 0,
        };
        let seen = SeenHooks {
            receivers,
            ..SeenHooks::default()
        };
        let mut record = record(&server, seen);
        let judge = |record: &CommitsRecord| {
            judge(record, &server, true, "hooks, pid 7".to_owned(), WITHIN)
        };
        assert_eq!(judge(&record).ok, Some(false));
        if let Ok(followed) = &mut record.stages {
            let why = "its libpqwalreceiver.so was not found".to_owned();
            followed.not_received.insert(7, why);
        }
        let row = judge(&record);
        assert_eq!(row.ok, None);
        assert!(row.found.contains("was not found"), "{}", row.found);
    }

    #[test]
    fn of_a_standby_its_walreceiver_is_told() {
        let receivers = ReceiverCalls {
            messages: 3,
            replies: 6,
            flushes: 3,
            ..ReceiverCalls::default()
        };
        let seen = SeenHooks {
            receivers,
            ..SeenHooks::default()
        };
        let row = judged(None, seen, true);
        assert_eq!(
            row.found,
            "seen within 3 s: PQgetCopyData 3, issue_xlog_fsync 3, PQputCopyData 6"
        );
    }
}
