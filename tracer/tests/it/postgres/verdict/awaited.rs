//! Two standbys, of which commits wait for the one, the other, or both: what becomes of one
//! that they do not wait for is no reason.

use std::{net::IpAddr, process::Stdio, time::Duration};

use nix::unistd::Pid;
use tracer_core::report::finding::{Cause, Finding};
use xtask::testbed::{
    command::Running,
    postgres::{Frozen, Server},
    slow_disk::SlowDisk,
    wait,
};

use super::network::{DAMAGE, LOSS};
use super::{PROBE_LINE, await_trouble, end, inject, probe, verdict};
use crate::postgres::watched::{LIMIT, Lab, OTHER, Seen};

const HELD_UP: [&str; 1] = ["commits in flight, since"];
/// How long a slow disk takes for one flush.
const SLOW: Duration = Duration::from_millis(700);

/// Tells the primary whom to wait for, and waits until it does.
fn wait_for(lab: &Lab, names: &str, sync_state: &str) {
    lab.psql(&format!(
        "alter system set synchronous_standby_names = '{names}'"
    ));
    lab.psql("select pg_reload_conf()");
    let all =
        "select string_agg(sync_state, ' ' order by application_name) from pg_stat_replication";
    wait::until(LIMIT, sync_state, || {
        Ok((lab.psql(all) == sync_state).then_some(()))
    })
    .unwrap();
}

fn receiver(server: &Server) -> Pid {
    let id = server
        .value("select pid from pg_stat_wal_receiver")
        .unwrap();
    server.process(&id.unwrap()).unwrap()
}

/// The first finding's cause and text.
fn told(what: &str, seen: &Seen) -> (Cause, String) {
    let cause = verdict(what, seen);
    let text = seen.report.findings[0].text.clone();
    (cause, text)
}

/// Somebody who receives the primary's log and is no standby, by one of the server's own
/// clients.
fn receive(lab: &Lab, program: &str, arguments: &[&str]) -> (Running, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = lab
        .primary()
        .netns
        .command(format!("/usr/lib/postgresql/{}/bin/{program}", lab.major));
    command
        .args(["-h", "10.0.10.2", "-U", "postgres", "--no-loop"])
        .args(arguments)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let running = Running::new(command.spawn().unwrap(), program);
    let streams = format!(
        "select count(*) from pg_stat_replication where application_name = '{program}' and state = 'streaming'"
    );
    wait::until(LIMIT, program, || {
        Ok((lab.psql(&streams) == "1").then_some(()))
    })
    .unwrap();
    (running, folder)
}

#[test]
fn a_standby_that_is_gone_is_named_while_another_one_streams() {
    let mut lab = Lab::of_three("pgvgone2");
    let mut tool = probe(&lab, lab.primary());
    tool.await_line(&["streaming async"]);
    lab.pair.standby_mut().stop();
    await_trouble(&mut tool, &HELD_UP);
    let (cause, text) = told("the awaited one of two gone", &tool.finish());
    assert_eq!(cause, Cause::StandbyGone, "{text}");
    assert!(
        text.contains("the standby standby, which is not connected"),
        "{text}"
    );
    assert!(text.contains("other (async)"), "{text}");
}

#[test]
fn who_only_receives_the_log_is_not_accused() {
    let mut lab = Lab::start("pgvreceive");
    lab.psql("alter system set wal_level = 'logical'");
    lab.restart_primary();
    lab.psql("select pg_create_logical_replication_slot('changes', 'test_decoding')");
    let slot = [
        "-d",
        "postgres",
        "--slot=changes",
        "--start",
        "-f",
        "changes",
    ];
    let receivers = [
        receive(&lab, "pg_receivewal", &["-D", "."]),
        receive(&lab, "pg_recvlogical", &slot),
    ];
    let mut tool = probe(&lab, lab.primary());
    tool.await_line(&["streaming sync"]);
    lab.pair.standby_mut().stop();
    await_trouble(&mut tool, &HELD_UP);
    let seen = tool.finish();
    drop(receivers);
    let (cause, text) = told("gone, beside pg_receivewal and a logical client", &seen);
    assert_eq!(cause, Cause::StandbyGone, "{text}");
    assert!(
        text.contains("the standby standby, which is not connected"),
        "{text}"
    );
}

#[test]
fn a_misspelt_name_is_told() {
    let lab = Lab::start("pgvtypo");
    let mut tool = probe(&lab, lab.primary());
    lab.psql("alter system set synchronous_standby_names = 'stanbdy'");
    lab.psql("select pg_reload_conf()");
    await_trouble(&mut tool, &HELD_UP);
    let (cause, text) = told("a misspelt name", &tool.finish());
    assert_eq!(cause, Cause::StandbyGone, "{text}");
    assert!(text.contains("the standby stanbdy"), "{text}");
    assert!(text.contains("misspelt"), "{text}");
}

#[test]
fn of_two_that_are_needed_the_frozen_one_is_accused() {
    let lab = Lab::of_three("pgvfirst2");
    wait_for(&lab, "FIRST 2 (standby, other)", "sync sync");
    let mut tool = probe(&lab, lab.primary());
    let frozen = Frozen::new(receiver(lab.other().1)).unwrap();
    await_trouble(&mut tool, &HELD_UP);
    drop(frozen);
    tool.await_line(&[" 0 waiting for a standby", "primary"]);
    let (cause, text) = told("FIRST 2, the second walreceiver stopped", &tool.finish());
    assert_eq!(cause, Cause::StandbyNotReplying, "{text}");
    assert!(text.contains("standby other"), "{text}");
}

#[test]
fn of_a_quorum_of_all_the_one_with_the_slow_disk_is_accused() {
    let lab = Lab::of_three("pgvany2");
    wait_for(&lab, "ANY 2 (standby, other)", "quorum quorum");
    let mut tool = probe(&lab, lab.primary());
    let slow = SlowDisk::start(&[receiver(lab.other().1)], SLOW).unwrap();
    await_trouble(&mut tool, &[PROBE_LINE]);
    let seen = tool.finish();
    drop(slow);
    let (cause, text) = told("ANY 2, slow disk of the second", &seen);
    assert_eq!(cause, Cause::StandbyFlush, "{text}");
    assert!(text.contains("standby other"), "{text}");
}

/// The disk of the one that is needed is slow, and what the other one is sent is lost.
fn slow_disk_beside_losses(tag: &str, names: &str, states: &str) {
    let lab = Lab::of_three(tag);
    wait_for(&lab, names, states);
    let mut tool = probe(&lab, lab.primary());
    let fault = inject(lab.primary(), LOSS, "10.0.10.4");
    let slow = SlowDisk::start(&[receiver(lab.pair.standby())], SLOW).unwrap();
    await_trouble(&mut tool, &[PROBE_LINE]);
    tool.await_resent(1);
    let seen = tool.finish();
    drop(slow);
    end(fault);
    let (cause, text) = told(
        &format!("{names}: slow disk, and the other one's way loses"),
        &seen,
    );
    assert_eq!(cause, Cause::StandbyFlush, "{text}");
    assert!(text.contains("standby standby"), "{text}");
}

#[test]
fn a_slow_disk_is_found_beside_losses_toward_the_next_in_line() {
    slow_disk_beside_losses("pgvfirst1", "FIRST 1 (standby, other)", "potential sync");
}

#[test]
fn a_slow_disk_is_found_beside_losses_toward_an_asynchronous_standby() {
    slow_disk_beside_losses("pgvasync", "standby", "async sync");
}

#[test]
fn a_slow_disk_is_found_beside_bad_checksums_from_somebody_else() {
    let lab = Lab::of_three("pgvdamaged");
    let mut tool = probe(&lab, lab.primary());
    let fault = inject(lab.other().0, DAMAGE, "10.0.10.2");
    let slow = SlowDisk::start(&[receiver(lab.pair.standby())], SLOW).unwrap();
    await_trouble(&mut tool, &[PROBE_LINE]);
    let seen = tool.finish();
    drop(slow);
    end(fault);
    let damaged = &seen.report.checksum_errors;
    let arrived = damaged.selected.unwrap();
    let other = IpAddr::from(lab.other().0.v4);
    let by_peer = damaged.series.iter().flat_map(|one| &one.by_peer);
    let from_other: u64 = by_peer.map(|counts| counts[&other]).sum();
    assert!(
        arrived > 0 && from_other == arrived,
        "{from_other} of {arrived}"
    );
    let (cause, text) = told("slow disk, and another one's segments damaged", &seen);
    assert_eq!(cause, Cause::StandbyFlush, "{text}");
}

#[test]
fn losses_toward_a_standby_that_is_not_needed_are_no_finding() {
    for (tag, names, states) in [
        ("pgvneed1", "FIRST 1 (standby, other)", "potential sync"),
        ("pgvneed2", "ANY 1 (standby, other)", "quorum quorum"),
    ] {
        let lab = Lab::of_three(tag);
        wait_for(&lab, names, states);
        let mut tool = probe(&lab, lab.primary());
        let fault = inject(lab.primary(), LOSS, "10.0.10.4");
        await_trouble(&mut tool, &[PROBE_LINE]);
        tool.await_resent(3);
        let seen = tool.finish();
        end(fault);
        let found = &seen.report.findings;
        let accused = |one: &&Finding| one.cause.is_network() || one.text.contains(OTHER);
        let accused = found.iter().find(accused);
        assert!(accused.is_none(), "{names}: {accused:?}");
        println!("{names:<44} nothing of the way that loses: {}", found.len());
    }
}
