//! What is shown of commits, from sums that are made up.

use std::time::Duration;

use crate::assemble::commit_warnings;
use crate::assemble::commits::commits;
use crate::interval::Span;
use crate::recording::commits::{Binary, CommitsRecord, Place, Server, Slowest, WaitingBackend};
use crate::recording::programs::RunStats;
use crate::recording::settings::Settings;
use crate::recording::{Recording, Recoveries};
use crate::render;
use crate::render::commits::CommitSums;
use crate::report::commits::CommitsReport;
use tracer_ebpf::{Part, ServerCommits, SlowCommit, bucket};

const MS: u64 = 1_000_000;

fn sums(commits: &[[u64; 3]]) -> ServerCommits {
    let mut sums = ServerCommits {
        commits: commits.len() as u64,
        ..ServerCommits::NONE
    };
    for [flush, wait, rest] in commits {
        let parts = [flush + wait + rest, *flush, *wait, *rest];
        for (part, ns) in Part::ALL.into_iter().zip(parts) {
            let index = part as usize;
            sums.buckets[index][bucket(ns)] += 1;
            sums.sums_ns[index] += ns;
            sums.longest_ns[index] = sums.longest_ns[index].max(ns);
        }
    }
    sums
}

fn record(servers: Vec<Server>) -> CommitsRecord {
    CommitsRecord {
        slow: Duration::from_millis(100),
        start_ns: 1_000 * MS,
        end_ns: 5_000 * MS,
        reason: None,
        binaries: vec![Binary {
            identity: Some((1, 2)),
            path: "/usr/bin/postgres".to_owned(),
            reason: None,
            unstaged: None,
        }],
        servers,
        slowest: Slowest::default(),
        stages: Err("not followed".to_owned()),
        given_up: 0,
        out_of_sight: 0,
        effort: RunStats::default(),
    }
}

fn server(pid: u32, sums: Option<ServerCommits>) -> Server {
    Server {
        pid,
        place: Place {
            pid: Some(pid),
            port: Some(5432),
            netns: Some(4),
            ..Place::default()
        },
        sums,
        dispersion: None,
        usual_ns: None,
        slow_from_ns: None,
        slow_times: Vec::new(),
        waiting: Vec::new(),
    }
}

fn assemble(record: &CommitsRecord, recoveries: Option<&Recoveries>, stats: bool) -> CommitsReport {
    let recording = Recording {
        start_ns: 1_000 * MS,
        settings: Settings {
            bpf_stats: stats,
            ..Settings::default()
        },
        ..Recording::default()
    };
    commits(record, &recording, recoveries)
}

#[test]
fn parts_of_a_server_and_its_slow_commits() {
    let mut record = record(vec![
        server(7, Some(sums(&[[MS, 200 * MS, 0], [MS, 0, 2 * MS]]))),
        server(8, None),
    ]);
    record.servers[0].waiting = vec![4_000 * MS, 3_000 * MS];
    for (server, pid) in [(7, 70), (9, 90)] {
        record.slowest.add(SlowCommit {
            start_ns: 2_000 * MS,
            total_ns: 201 * MS,
            flush_ns: MS,
            wait_ns: 200 * MS,
            rest_ns: 0,
            lsn: 0x2_0000_00ff,
            pid,
            server,
        });
    }
    let span = |from_ms: u64, to_ms: u64| Span {
        from_ns: from_ms * MS,
        to_ns: to_ms * MS,
    };
    let recoveries = Recoveries::from([(4, vec![span(1_900, 2_051), span(2_101, 2_111)])]);
    let report = assemble(&record, Some(&recoveries), false);
    let [one, none] = &report.servers[..] else {
        panic!("two servers");
    };
    assert_eq!((one.commits, none.commits), (2, 0));
    assert_eq!(one.total.part.max_ms, Some(201.0));
    assert_eq!(one.flush.part.max_ms, Some(1.0));
    let parts = one.flush.sum_ms + one.wait.sum_ms + one.rest.sum_ms;
    assert!((one.total.sum_ms - parts).abs() < 1e-9);
    assert_eq!(one.wait_share, Some(200.0 / 204.0));
    assert_eq!((one.waiting, one.waiting_longest_ms), (2, Some(2_000.0)));
    assert_eq!((none.wait_share, none.total.part.p50_ms), (None, None));
    // Whose server is not shown is left out.
    let [slow] = &report.slow[..] else {
        panic!("one slow commit: {:?}", report.slow);
    };
    assert_eq!((slow.pid, slow.lsn.as_str()), (70, "2/FF"));
    assert!((slow.offset_s - 1.0).abs() < 1e-9);
    assert_eq!(report.program_runs, None);
    // It waited from the first millisecond on.
    assert_eq!(slow.wait_in_recovery_ms, Some(60.0));
    assert_eq!(one.slow_wait_ms, 200.0);
    assert_eq!(one.slow_wait_in_recovery_ms, Some(60.0));
    let elsewhere = assemble(&record, Some(&Recoveries::new()), false);
    assert_eq!(elsewhere.slow[0].wait_in_recovery_ms, None);
    assert_eq!(elsewhere.servers[0].slow_wait_in_recovery_ms, None);
    let text = render::commits::summary(&report).join("\n");
    for words in [
        "98 % waiting",
        "2 wait for a standby still",
        "201.0 ms at 1.0 s",
        "of the 200 ms that its slow commits waited, 30 % while",
        "pid 8",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(commit_warnings::warnings(&report).is_empty());
}

#[test]
fn without_slow_commits_nothing_was_waited_and_what_was_not_traced_is_not_known() {
    let record = record(vec![server(7, Some(sums(&[[MS, MS, 0]])))]);
    let of = |recoveries: &Recoveries| {
        let report = assemble(&record, Some(recoveries), false);
        let server = &report.servers[0];
        let json = |value| serde_json::to_string(value).unwrap();
        (
            json(&Some(server.slow_wait_ms)),
            json(&server.slow_wait_in_recovery_ms),
        )
    };
    let shown = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(of(&Recoveries::new()), shown("0.0", "null"));
    let traced = Recoveries::from([(4, Vec::new())]);
    assert_eq!(of(&traced), shown("0.0", "0.0"));
}

#[test]
fn what_could_not_be_watched_is_a_warning() {
    let mut record = record(Vec::new());
    record.binaries.push(Binary {
        identity: None,
        path: "/opt/\u{1b}[2J/postgres".to_owned(),
        reason: Some("it exports nothing".to_owned()),
        unstaged: None,
    });
    record.given_up = 3;
    record.effort.missed = 2;
    let warnings = commit_warnings::warnings(&assemble(&record, None, true));
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].contains("exports nothing") && !warnings[0].contains('\u{1b}'));
    assert!(warnings[1].starts_with("3 commits are in no count"));
    assert!(warnings[1].ends_with("did not show"), "{warnings:?}");
    assert!(warnings[2].starts_with("2 traps"), "{warnings:?}");

    record.reason = Some("no server".to_owned());
    let report = assemble(&record, None, true);
    assert_eq!((report.attached, report.start.is_none()), (false, true));
    assert!(commit_warnings::warnings(&report)[0].contains("no server"));
}

#[test]
fn the_line_tells_of_what_came_since() {
    let before = sums(&[[MS, 500 * MS, 0]]);
    let after = sums(&[[MS, 500 * MS, 0], [MS, 3 * MS, 0], [MS, 3 * MS, 0]]);
    let earlier = CommitSums::new(1_000 * MS, [&before].into_iter(), &[]);
    let quiet = CommitSums::new(2_000 * MS, [&before].into_iter(), &[]);
    assert_eq!(render::commits::line(&quiet, &earlier), "commits: 0/s");
    let waiting = [WaitingBackend {
        server: 7,
        since_ns: 1_500 * MS,
    }];
    let now = CommitSums::new(3_000 * MS, [&after].into_iter(), &waiting);
    let line = render::commits::line(&now, &earlier);
    assert!(line.starts_with("commits: 1/s, p99 4."), "{line}");
    assert!(
        line.ends_with(
            "75 % of their time waiting for a standby; 1 waiting now, the longest for 1.5 s"
        ),
        "{line}"
    );
}
