//! Servers in containers: roots, mounts and process ids of their own, of which this
//! machine has neither the program nor its libraries.

use std::fs;

use nix::unistd::Pid;
use xtask::testbed::postgres::{Programs, Server};

use crate::postgres::{commits, roles, server, watched::Lab};

/// What a file of `/proc` leads to.
fn link(pid: Pid, name: &str) -> String {
    let target = fs::read_link(format!("/proc/{pid}/{name}")).unwrap();
    target.display().to_string()
}

/// It sees nothing of this machine, and this machine does not see its program.
fn assert_contained(server: &Server, programs: &Programs) {
    let (own, pid) = (Pid::this(), server.pid());
    for namespace in ["ns/mnt", "ns/pid", "ns/net"] {
        assert_ne!(link(own, namespace), link(pid, namespace), "{namespace}");
    }
    let program = programs.path("postgres");
    assert_eq!(link(pid, "exe"), program.display().to_string());
    assert!(!program.exists(), "this machine has {}", program.display());
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let root = mounts
        .lines()
        .find(|line| line.split(' ').nth(4) == Some("/"));
    assert!(root.unwrap().contains(" - overlay "), "{mounts}");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let ids = status.lines().find(|line| line.starts_with("NSpid:"));
    assert!(ids.unwrap().ends_with("\t1"), "{status}");
}

#[test]
fn servers_in_containers_are_watched_like_any_other() {
    let programs = Programs::contained().unwrap_or_else(|error| panic!("{error:#}"));
    let mut lab = Lab::of("pgbox", &programs);
    assert_contained(lab.pair.primary(), &programs);
    assert_contained(lab.pair.standby(), &programs);
    server::samples_agree_with_psql(&lab);
    roles::replication_is_named_at_both_ends_and_clients_are_clients(&lab);
    commits::commits_that_write_are_counted_whatever_else_is_done(&lab);

    // Both run the same file of their image, each on a layer of its own: what hangs
    // on it twice still counts once, also in a container that is made anew.
    let tool = commits::watch(lab.primary(), commits::ALL);
    let before = commits::pid(lab.pair.primary());
    lab.psql(commits::INSERT);
    lab.restart_primary();
    assert_contained(lab.pair.primary(), &programs);
    for _ in 0..3 {
        lab.psql(commits::INSERT);
    }
    let seen = tool.finish();
    assert_eq!(commits::check(&seen, before), 1);
    assert_eq!(commits::check(&seen, commits::pid(lab.pair.primary())), 3);
    let path = programs.path("postgres").display().to_string();
    let all = seen.commits().programs.iter();
    let ours: Vec<_> = all.filter(|one| one.path == path).collect();
    assert!(ours.len() >= 2, "{ours:?}");
    assert!(ours.iter().all(|one| one.attached), "{ours:?}");
}

/// As many programs hang on the one file behind their layers as there are standbys.
#[test]
fn what_standbys_of_one_image_receive_is_told_once() {
    const COMMITS: u64 = 50;
    let programs = Programs::contained().unwrap_or_else(|error| panic!("{error:#}"));
    let lab = Lab::of_three_with("pgboxes", &programs);
    let tool = commits::watch(lab.standby(), commits::ALL);
    for _ in 0..COMMITS {
        lab.psql(commits::INSERT);
    }
    let seen = tool.finish();
    for standby in [lab.pair.standby(), lab.other().1] {
        let mut all = seen.commits().walreceivers.iter();
        let found = all.find(|one| one.server_pid == commits::pid(standby));
        let found = found.unwrap();
        assert!(found.measured, "{found:?}");
        // A few are of what a server writes by itself.
        let few = 1..2 * COMMITS;
        assert!(few.contains(&found.messages), "{found:?}");
        let calls = |function| {
            let mut hooks = found.hooks.iter();
            hooks.find(|hook| hook.function == function).unwrap().seen
        };
        assert_eq!(calls("PQgetCopyData"), found.messages, "{found:?}");
        // What comes twice is none.
        let exchanges = &found.exchanges;
        assert!(
            exchanges.wal_end.len() as u64 > found.messages / 2,
            "{found:?}"
        );
        assert!(!exchanges.reply_seq.is_empty(), "{found:?}");
    }
}
