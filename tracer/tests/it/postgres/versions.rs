//! What has to be the same whatever the server's version: each is a real one, this
//! machine's, or fetched: from the release of Debian that has it, or from npm.

use xtask::testbed::postgres::Programs;

use crate::postgres::{commits, hooks, probe, receiver, roles, server, statements, watched::Lab};

fn on(major: u32) {
    let programs = Programs::of(major).unwrap_or_else(|error| panic!("{error:#}"));
    let mut lab = Lab::of(&format!("pg{major}"), &programs);
    assert_eq!(lab.major, major);
    server::samples_agree_with_psql(&lab);
    roles::replication_is_named_at_both_ends_and_clients_are_clients(&lab);
    probe::every_commit_is_one_that_waits_and_nothing_is_left(&lab);
    receiver::wal_is_followed_from_its_segment_to_its_reply(&lab);
    commits::commits_that_write_are_counted_whatever_else_is_done(&lab);
    hooks::what_is_needed_is_seen_to_be_called(&lab);
    statements::statements_are_counted_where_the_extension_is(&mut lab);
}

#[test]
fn postgres_13_is_watched_in_full() {
    on(13);
}

#[test]
fn postgres_14_is_watched_in_full() {
    on(14);
}

#[test]
fn postgres_15_is_watched_in_full() {
    on(15);
}

#[test]
fn postgres_16_is_watched_in_full() {
    on(16);
}

#[test]
fn postgres_17_is_watched_in_full() {
    on(17);
}

#[test]
fn postgres_18_is_watched_in_full() {
    on(18);
}
