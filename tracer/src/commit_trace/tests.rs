//! CommitTrace of several servers.

use tracer_core::recording::commits::{Binary, Place};
use tracer_core::render::commits::CommitSums;
use tracer_ebpf::SlowCommit;

use super::*;

/// Nothing is attached.
fn commits(netns: Option<u32>) -> CommitTrace {
    CommitTrace {
        slow: Duration::from_millis(100),
        netns,
        program: None,
        reason: None,
        binaries: Vec::new(),
        places: BTreeMap::new(),
        ended: EndedServers::default(),
        met: Vec::new(),
        slowest: Slowest::default(),
        usual: UsualCommits::new(Duration::from_millis(100), EarlierServers::default()),
        stages: Err("nothing is attached".to_owned()),
        start_ns: 0,
        last: CommitSums::default(),
    }
}

#[test]
fn slow_commits_of_other_namespaces_take_no_room() {
    let mut commits = commits(Some(4));
    for (server, netns) in [(7, 4), (9, 5)] {
        let netns = Some(netns);
        commits.place(server, || Place {
            netns,
            ..Place::default()
        });
    }
    let slow = |server, total_ns| SlowCommit {
        server,
        total_ns,
        ..SlowCommit::default()
    };
    let theirs = (0..10_000).map(|number| slow(9, 500 + number));
    commits.keep(theirs.chain([slow(7, 300)]).collect());
    let record = commits.finish();
    assert_eq!(record.slowest.of(|_| true), [slow(7, 300)]);
    assert_eq!(record.slowest.dropped(), 0);
}

#[test]
fn a_server_whose_program_is_not_watched_has_not_committed_nothing() {
    let mut commits = commits(None);
    let binary = |inode, reason: Option<&str>| Binary {
        identity: inode,
        path: "/usr/bin/postgres".to_owned(),
        reason: reason.map(str::to_owned),
        unstaged: None,
    };
    let (watched, refused) = (Some((1, 2)), Some((1, 3)));
    commits.binaries = vec![
        binary(watched, None),
        binary(refused, Some("it exports nothing")),
        binary(None, Some("it may not be looked at")),
    ];
    for (pid, identity) in [(7, watched), (8, refused), (9, None)] {
        commits.place(pid, || Place {
            pid: Some(pid),
            identity,
            ..Place::default()
        });
    }
    let followed: Vec<u32> = commits.finish().servers.iter().map(|one| one.pid).collect();
    assert_eq!(followed, [7]);
}

#[test]
fn of_many_servers_prometheus_sees_those_that_run_and_then_the_latest() {
    // Met from the first to the last, and found in any order.
    let met: Vec<u32> = (1..=40).rev().collect();
    let runs = |pid: u32| pid > 30;
    let shown = exposed((1..=40).collect(), &met, runs);
    let expected: Vec<u32> = (31..=40).chain(1..=6).collect();
    assert_eq!(shown, expected);
    // Where there is room, all of them are.
    assert_eq!(exposed(vec![1, 2], &met, |_| false), [1, 2]);
}
