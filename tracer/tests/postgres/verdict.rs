//! What the tool says of a slow commit, with each cause made for real: it must name
//! it without knowing what was done.

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use nix::unistd::Pid;
use serde_json::Value;
use xtask::{command::Running, netns::Host, postgres::Frozen, wait};

use crate::watched::{LIMIT, Lab, PROGRAM, Seen, Watched};

const PROBE: [&str; 2] = ["--commit-probe", "20"];
/// How long something is the matter, at least, so that it is seen more than once.
const TROUBLE: Duration = Duration::from_secs(6);
/// How long nothing is, for it to be a phase.
const CALM: Duration = Duration::from_secs(5);

/// The first finding, of which everything else must bear out.
fn verdict(what: &str, seen: &Seen) -> String {
    let found = seen.list("/findings");
    let first = found
        .first()
        .unwrap_or_else(|| panic!("{what}: nothing was found: {}", seen.stdout));
    println!(
        "{what:<44} {} ({}): {}",
        first["cause"].as_str().unwrap(),
        first["confidence"].as_str().unwrap(),
        first["text"].as_str().unwrap()
    );
    for finding in found {
        let evidence = finding["evidence"].as_array().unwrap();
        assert!(!evidence.is_empty(), "{finding}");
        for pointer in evidence {
            // Panics if there is nothing.
            seen.at(pointer.as_str().unwrap());
        }
    }
    let told = seen.stdout.find("Found: ").unwrap();
    assert!(told < seen.stdout.find("segments retransmitted").unwrap());
    assert!(seen.list("/faults").is_empty());
    first["cause"].as_str().unwrap().to_owned()
}

fn begin(lab: &Lab, host: &Host) -> Watched {
    // By the socket file, also from the standby's host: what is asked and committed
    // does not itself go over the network that is broken.
    let folder = lab.pair.primary().socket_dir().display();
    let dsn = format!("host={folder} user=postgres");
    let mut tool = Watched::start(host, &dsn, &PROBE);
    tool.await_line(&["streaming sync"]);
    tool.await_line(&["probe: 2 commits"]);
    assert_eq!(lab.psql("show synchronous_standby_names"), "standby");
    tool
}

/// Damages half of what leaves the host for the other.
fn corrupt(host: &Host, peer: &str) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let mut command = host.netns.command(PROGRAM);
    command
        .args(["inject", "corrupt=50%", "--peer", peer, "--quiet"])
        .args(["--duration", "60s", "--allow-ssh-peer", "--ready-file"])
        .arg(&ready)
        .stdin(Stdio::null());
    let child: Child = command.spawn().unwrap();
    let running = Running::new(child, "tracer inject");
    wait::until(LIMIT, "the fault", || Ok(ready.exists().then_some(()))).unwrap();
    running
}

fn end(fault: Running) {
    fault.interrupt().unwrap();
    assert!(fault.wait(Some(LIMIT)).unwrap().success());
}

/// Until it has been seen again and again, for as long.
fn await_lines(tool: &mut Watched, words: &[&str], long: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < long {
        tool.await_line(words);
    }
}

/// Until commits have been held up again and again.
fn await_trouble(tool: &mut Watched, words: &[&str]) {
    await_lines(tool, words, TROUBLE);
}

#[test]
fn damaged_replies_are_found_from_either_side() {
    let lab = Lab::start("pgvreply");
    let (primary, standby) = (lab.primary(), lab.standby());
    let found = |watcher, cause, what| {
        damaged(&lab, (standby, "10.0.10.2"), watcher, cause, what);
    };
    found(
        primary,
        "damage_of_replies",
        "replies damaged, seen from the primary",
    );
    found(
        standby,
        "loss_of_replies",
        "replies damaged, seen from the standby",
    );
}

#[test]
fn a_damaged_log_is_found_from_either_side() {
    let lab = Lab::start("pgvlog");
    let (primary, standby) = (lab.primary(), lab.standby());
    let found = |watcher, cause, what| {
        damaged(&lab, (primary, "10.0.10.3"), watcher, cause, what);
    };
    found(
        primary,
        "loss_toward_standby",
        "log damaged, seen from the primary",
    );
    found(
        standby,
        "damage_toward_standby",
        "log damaged, seen from the standby",
    );
}

/// Damages half of what the sender sends to the peer, while the watcher looks.
fn damaged(lab: &Lab, (sender, peer): (&Host, &str), watcher: &Host, cause: &str, what: &str) {
    let mut tool = begin(lab, watcher);
    await_lines(&mut tool, &["probe: 2 commits"], CALM);
    let fault = corrupt(sender, peer);
    await_trouble(&mut tool, &["commits under way, since"]);
    end(fault);
    tool.await_line(&[" 0 waiting for a standby"]);
    await_lines(&mut tool, &["probe: 2 commits"], CALM);
    let seen = tool.finish();
    assert_eq!(verdict(what, &seen), cause, "{}", seen.at("/findings"));
    // Its time is found in what it did; on a busy machine, what came after may
    // not have been calm enough to be told apart.
    let phases = seen.list("/phases");
    let names: Vec<_> = phases
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert!(
        names.starts_with(&["baseline", "fault"]),
        "{}",
        seen.at("/phases")
    );
    assert_eq!(phases[1]["chosen_by"], "change_point");
    let worst = |phase: &Value| phase["commits"]["max_ms"].as_f64().unwrap();
    assert!(
        worst(&phases[1]) > worst(&phases[0]),
        "{}",
        seen.at("/phases")
    );
    let total: u64 = phases
        .iter()
        .map(|one| one["commits"]["answered"].as_u64().unwrap())
        .sum();
    assert_eq!(seen.at("/postgres/probe/commits/answered"), total);
}

#[test]
fn a_stalled_receiver_is_not_taken_for_the_network() {
    let lab = Lab::start("pgvstall");
    let receiver = lab
        .pair
        .standby()
        .value("select pid from pg_stat_wal_receiver");
    let receiver = Pid::from_raw(receiver.unwrap().unwrap().parse().unwrap());
    let mut tool = begin(&lab, lab.primary());
    let frozen = Frozen::new(receiver).unwrap();
    await_trouble(&mut tool, &["commits under way, since"]);
    drop(frozen);
    tool.await_line(&[" 0 waiting for a standby", "primary"]);
    let seen = tool.finish();
    let found = seen.at("/findings");
    assert_eq!(
        verdict("walreceiver stopped", &seen),
        "standby_not_replying",
        "{found}"
    );
    // A busy machine may send a segment again for want of a timely answer.
    assert_ne!(found[0]["confidence"], "low", "{found}");
}

#[test]
fn a_standby_that_is_gone_is_missed() {
    let mut lab = Lab::start("pgvgone");
    let mut tool = begin(&lab, lab.primary());
    lab.pair.standby_mut().stop();
    await_trouble(&mut tool, &["commits under way, since"]);
    let seen = tool.finish();
    let found = seen.at("/findings");
    assert_eq!(
        verdict("standby shut down", &seen),
        "standby_gone",
        "{found}"
    );
}

#[test]
fn a_lock_is_a_lock() {
    let lab = Lab::start("pgvlock");
    let mut tool = begin(&lab, lab.primary());
    let psql = |sql: &str| {
        let mut psql = lab.primary().netns.command("psql");
        psql.args(["-h", "10.0.10.2", "-U", "postgres", "-Xc", sql])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Running::new(psql.spawn().unwrap(), "psql")
    };
    let waits = |count: &str, what: &str| {
        let sql = format!("select count(*) from pg_stat_activity where {what}");
        wait::until(LIMIT, what, || Ok((lab.psql(&sql) == count).then_some(()))).unwrap();
    };
    let holder = psql("begin; lock table lab; select pg_sleep(600)");
    waits("1", "wait_event = 'PgSleep'");
    let waiters = [(); 3].map(|()| psql("insert into lab (note) values ('late')"));
    waits("3", "wait_event_type = 'Lock'");
    await_trouble(&mut tool, &["probe: "]);
    let seen = tool.finish();
    drop((holder, waiters));
    let found = seen.at("/findings");
    assert_eq!(verdict("a lock held", &seen), "lock_waits", "{found}");
}

#[test]
fn a_wait_that_was_turned_off_is_told() {
    let lab = Lab::start("pgvoff");
    let mut tool = begin(&lab, lab.primary());
    lab.psql("alter system set synchronous_standby_names = ''");
    lab.psql("select pg_reload_conf()");
    await_lines(&mut tool, &["none is synchronous"], Duration::from_secs(1));
    let seen = tool.finish();
    let found = seen.at("/findings");
    assert_eq!(
        verdict("synchronous_standby_names emptied", &seen),
        "sync_wait_off",
        "{found}"
    );
    assert_eq!(found[0]["confidence"], "high", "{found}");
}

#[test]
fn where_nothing_is_the_matter_nothing_on_the_network_is_found() {
    let lab = Lab::start("pgvwell");
    let mut tool = begin(&lab, lab.primary());
    await_trouble(&mut tool, &["probe: 2 commits"]);
    let seen = tool.finish();
    let causes = seen.list("/findings").iter().map(|one| &one["cause"]);
    let network = causes.filter(|cause| {
        let cause = cause.as_str().unwrap();
        cause.starts_with("loss") || cause.starts_with("damage")
    });
    assert_eq!(network.count(), 0, "{}", seen.at("/findings"));
}
