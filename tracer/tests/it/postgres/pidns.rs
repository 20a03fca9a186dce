//! Servers and the tool in PID namespaces, together and apart: in each, processes have
//! other numbers than outside.

use std::{
    fs,
    process::{Command, Stdio},
};

use nix::unistd::Pid;
use serde_json::Value;
use xtask::testbed::{
    command::{Running, only_child},
    netns::Net,
    postgres::{Alone, Programs},
    wait,
};

use crate::postgres::{
    commits::{ALL, INSERT, QUIET, check, of, pid},
    watched::{LIMIT, Watched},
};
use crate::support::program::PROGRAM;

/// Numbers of a process, from the outermost namespace to its own.
fn ids(pid: Pid) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let ids = line.unwrap().split_whitespace();
    ids.map(|id| id.parse().unwrap()).collect()
}

fn commit(alone: &Alone, count: u32) {
    let mut sql = alone.server().connect().unwrap();
    for _ in 0..count {
        sql.query(INSERT).unwrap();
    }
}

/// Goes where the server's process is.
fn way_to(alone: &Alone) -> Vec<String> {
    let target = alone.server().pid().to_string();
    let words = ["nsenter", "--target", &target, "--mount", "--pid", "--"];
    words.map(str::to_owned).to_vec()
}

#[test]
fn beside_a_server_in_its_namespace_its_commits_are_counted_and_no_others() {
    let net = Net::pair("pgpidin", "ens160").unwrap();
    let (here, there) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let inside = Alone::start_with(&Programs::own().unwrap().apart(), here, QUIET).unwrap();
    let outside = Alone::start(there, QUIET).unwrap();
    let own = ids(inside.server().pid());
    assert_eq!(own.last(), Some(&1), "{own:?}");

    let way = way_to(&inside);
    let mut tool = Watched::by(here, &way, ALL, &[]);
    commit(&inside, 5);
    commit(&outside, 7);
    tool.await_line(&["commits: "]);
    // Somebody there whom nobody answers: its connection is sent again and again.
    let nowhere = ["route", "add", "blackhole", "10.0.10.2/32"];
    there.netns.run("ip", &nowhere).unwrap();
    let mut bash = here.netns.command(&way[0]);
    bash.args(&way[1..])
        .args(["bash", "-c", "exec 3<>/dev/tcp/10.0.10.3/9"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let bash = Running::new(bash.spawn().unwrap(), "nsenter");
    let client = wait::until(LIMIT, "bash to run", || {
        let child = only_child(bash.pid()).ok();
        let is_bash = |pid: &Pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == "bash\n")
        };
        Ok(child.filter(is_bash))
    });
    let client = *ids(client.unwrap()).last().unwrap();
    tool.await_resent(2);
    let seen = tool.finish();
    drop(bash);

    // By the numbers that are seen there, and by no others.
    assert_eq!(check(&seen, 1), 5, "{:?}", seen.commits());
    assert_eq!(seen.commits().servers.len(), 1);
    assert_eq!(of(&seen, 1).port, Some(5432));
    let slow = &seen.commits().slow;
    assert!(slow.iter().all(|one| one.server_pid == 1), "{slow:?}");
    let outermost = pid(inside.server());
    assert!(slow.iter().all(|one| one.pid < outermost), "{slow:?}");
    // Of the other one, and of those that other tests have at the same time.
    assert!(seen.commits().out_of_sight >= 7);
    for words in [
        " commits are in no count, because their servers run outside",
        "sees only the processes there",
        "--pid=host",
    ] {
        assert!(seen.report.warned(words), "{:?}", seen.warnings());
    }
    let mut flows = seen.report.flows.iter();
    let syn = flows.find(|flow| flow.remote.port == 9).unwrap();
    let process = syn.process.as_ref().unwrap();
    assert_eq!((process.pid, process.comm.as_str()), (client, "bash"));
}

#[test]
fn a_backend_that_waits_is_found_in_its_namespace() {
    let net = Net::pair("pgpidwait", "ens160").unwrap();
    let here = net.host("primary").unwrap();
    let inside = Alone::start_with(&Programs::own().unwrap().apart(), here, QUIET).unwrap();
    let mut sql = inside.server().connect().unwrap();
    sql.query("alter system set synchronous_standby_names = 'nobody'")
        .unwrap();
    sql.query("select pg_reload_conf()").unwrap();
    wait::until(LIMIT, "commits to wait", || {
        let name = inside.server().value("show synchronous_standby_names")?;
        Ok((name.as_deref() == Some("nobody")).then_some(()))
    })
    .unwrap();
    let way = way_to(&inside);
    let mut tool = Watched::by(here, &way, ALL, &[]);
    std::thread::scope(|scope| {
        let commit = scope.spawn(|| commit(&inside, 1));
        tool.await_line(&["1 waiting now"]);
        sql.query("alter system reset synchronous_standby_names")
            .unwrap();
        sql.query("select pg_reload_conf()").unwrap();
        commit.join().unwrap();
    });
    let seen = tool.finish();
    assert_eq!(check(&seen, 1), 1);
}

#[test]
fn a_server_that_is_out_of_sight_is_not_passed_over_in_silence() {
    let net = Net::pair("pgpidout", "ens160").unwrap();
    let here = net.host("primary").unwrap();
    let outside = Alone::start(here, QUIET).unwrap();
    let alone = [
        "unshare",
        "--mount-proc",
        "--pid",
        "--fork",
        "--kill-child",
        "--",
    ];
    let mut tool = Watched::by(here, &alone, ALL, &[]);
    tool.await_line(&["commits: not split: no PostgreSQL server"]);
    commit(&outside, 3);
    let seen = tool.finish();
    let commits = seen.commits();
    assert!(!commits.attached);
    let reason = commits.reason.as_ref().unwrap();
    assert!(
        reason.contains("runs in a PID namespace (pid:[") && reason.contains("--pid=host"),
        "{reason}"
    );

    // Where it sees everything, nothing is said of it.
    let seen = Watched::without_database(here, ALL, &[]).finish();
    let warnings = seen.warnings();
    assert!(!seen.report.warned("PID namespace"), "{warnings:?}");
    assert_eq!(seen.commits().out_of_sight, 0);

    let row = |way: &[&str]| -> Value {
        let words = [way, &[PROGRAM, "check", "--json"]].concat();
        let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut rows = answer["checks"].as_array().unwrap().iter();
        rows.find(|row| row["name"] == "processes").unwrap().clone()
    };
    assert_eq!(row(&[])["ok"], true);
    let there = row(&alone);
    assert_eq!(there["ok"], false, "{there}");
    assert!(there["remedy"].as_str().unwrap().contains("--pid=host"));
}

/// As `docker run -v /proc:/proc`, or who entered a namespace and mounted nothing.
#[test]
fn the_hosts_proc_in_another_namespace_shows_everything() {
    let net = Net::pair("pgpidproc", "ens160").unwrap();
    let here = net.host("primary").unwrap();
    let outside = Alone::start(here, QUIET).unwrap();
    let way = ["unshare", "--pid", "--fork", "--kill-child", "--"];
    let tool = Watched::by(here, &way, ALL, &[]);
    commit(&outside, 4);
    let seen = tool.finish();
    assert_eq!(check(&seen, pid(outside.server())), 4);
    let warnings = seen.warnings();
    assert!(!seen.report.warned("PID namespace"), "{warnings:?}");
    assert!(seen.report.processors.is_some(), "{warnings:?}");
}
