//! Answers as a server gives them.

use crate::postgres::connection::room::Bound;
use crate::postgres::sampler::query::*;

fn row(text: &str) -> Vec<Option<String>> {
    text.split('|')
        .map(|column| (column != "-").then(|| column.to_owned()))
        .collect()
}

fn answers() -> Vec<Rows> {
    vec![
        vec![row("f|0/3000148|1|db2|4711|-|-|-|f")],
        vec![row(
            "17|db2|10.0.10.3|40396|streaming|sync|0|0|-8|160|1.5|-|2.25|99.125|1732900000123456",
        )],
        vec![
            row("Client|ClientRead|5|0|86400000.5|0|0"),
            row("IPC|SyncRep|3|3|20.5|0|0"),
            row("-|-|1|1|-|0|0"),
        ],
        vec![row("db2|physical|t|16777216|reserved")],
        vec![],
        vec![row("87|-|12")],
    ]
}

#[test]
fn a_primary_shows_its_standbys_and_who_waits() {
    let sample = read(&answers(), true).unwrap();
    assert_eq!(sample.role, Role::Primary);
    assert_eq!((sample.timeline, sample.xact_commit), (Some(1), Some(4711)));
    assert_eq!((sample.active, sample.sync_rep_waiters), (Some(4), Some(3)));
    assert_eq!(sample.sync_rep_longest_ms, Some(20.5));
    let waits = sample.waits.as_deref().unwrap();
    let longest: Vec<_> = waits.iter().map(|wait| wait.longest_ms).collect();
    assert_eq!(longest, [Some(86_400_000.5), Some(20.5)]);
    let standby = &sample.standbys[0];
    assert_eq!(
        (standby.client_port, standby.flush_lag_bytes),
        (Some(40396), Some(-8))
    );
    assert_eq!(
        (
            standby.flush_lag_ms,
            standby.reply_age_ms,
            standby.reply_sent_us
        ),
        (None, Some(99.125), Some(1_732_900_000_123_456))
    );
    assert_eq!(sample.slots[0].retained_bytes, Some(16_777_216));
    assert!(sample.receiver.is_none() && sample.replay.is_none());
}

#[test]
fn connections_are_bounded_by_what_leaves_the_fewest() {
    let found = free(&answers()).unwrap();
    assert_eq!((found.count, found.by), (12, Bound::Database));
}

#[test]
fn a_standby_shows_where_it_receives_from() {
    let mut answers = answers();
    answers[0] = vec![row(
        "t|0/3000148|2||12|0/3000060|232|1500.5|t|on|IPC|RecoveryPause",
    )];
    answers[1] = vec![];
    answers[4] = vec![row("23|streaming|10.0.10.2|5432|db2|0|12.5")];
    let sample = read(&answers, true).unwrap();
    assert_eq!((sample.role, sample.timeline), (Role::Standby, Some(2)));
    let replay = sample.replay.unwrap();
    assert_eq!((replay.lag_bytes, replay.paused), (Some(232), true));
    assert_eq!(replay.wait_event_type.as_deref(), Some("IPC"));
    assert_eq!(replay.wait_event.as_deref(), Some("RecoveryPause"));
    assert_eq!(sample.receiver.unwrap().sender_port, Some(5432));
}

#[test]
fn where_nobody_waits_the_longest_wait_is_none_at_all() {
    let mut answers = answers();
    answers[2].remove(1);
    let sample = read(&answers, true).unwrap();
    assert_eq!(sample.sync_rep_waiters, Some(0));
    assert_eq!(sample.sync_rep_longest_ms, Some(0.0));
}

#[test]
fn what_the_server_does_not_track_is_not_zero() {
    let mut answers = answers();
    answers[2] = vec![
        row("Client|ClientRead|5|0|-|5|0"),
        row("IPC|SyncRep|3|0|-|3|0"),
    ];
    let sample = read(&answers, true).unwrap();
    assert_eq!((sample.untracked, sample.active), (Some(8), None));
    assert_eq!(sample.sync_rep_waiters, Some(3));
    assert_eq!(sample.sync_rep_longest_ms, None);
    // Of those that are tracked, the longest is known: it is no less than that.
    answers[2][1] = row("IPC|SyncRep|3|1|20.5|2|0");
    let sample = read(&answers, true).unwrap();
    assert_eq!(sample.sync_rep_longest_ms, Some(20.5));
    assert_eq!(sample.active, None);
    // Before version 14, not even what they wait for.
    answers[2] = vec![row("-|-|8|0|-|8|8")];
    let sample = read(&answers, true).unwrap();
    assert_eq!((sample.untracked, sample.active), (Some(8), None));
    assert_eq!((sample.sync_rep_waiters, sample.waits), (None, None));
    assert_eq!(sample.sync_rep_longest_ms, None);
}

#[test]
fn bytes_that_are_no_text_cost_nothing_else() {
    let mut answers = answers();
    answers[0] = vec![row(r"f|0/3000148|1|caf\351|4711|-|-|-|f")];
    answers[1][0][1] = Some(r"b\344r \\".to_owned());
    answers[4] = vec![row(r"23|streaming|/srv/p\366|5432|db2|0|12.5")];
    let sample = read(&answers, true).unwrap();
    assert_eq!(
        sample.synchronous_standby_names.as_deref(),
        Some(r"caf\xe9")
    );
    assert_eq!(sample.standbys[0].name(), Some(r"b\xe4r \"));
    let receiver = sample.receiver.unwrap();
    assert_eq!(receiver.sender_host.as_deref(), Some(r"/srv/p\xf6"));
    assert_eq!(sample.xact_commit, Some(4711));
}

#[test]
fn what_may_not_be_seen_is_not_zero() {
    let mut answers = answers();
    answers[1] = vec![row("17|-|-|-|-|-|-|-|-|-|-|-|-|-")];
    let sample = read(&answers, false).unwrap();
    assert_eq!((sample.active, sample.sync_rep_waiters), (None, None));
    assert_eq!(sample.sync_rep_longest_ms, None);
    assert_eq!(sample.standbys[0].sent_lag_bytes, None);
    assert_eq!(sample.standbys[0].name(), None);
}

#[test]
fn an_answer_that_is_none_is_an_error() {
    assert!(read(&[], true).is_err());
    assert!(read(&vec![vec![]; 6], true).is_err());
    assert!(free(&[]).is_none() && free(&vec![vec![]; 6]).is_none());
    assert!(greeted(&[]).is_err());
}

#[test]
fn old_servers_and_weak_roles_are_told() {
    let greeting = |version: &str, sees_all: &str| {
        greeted(&[vec![row(&format!(
            "{version}|v|me too|{sees_all}|5432|f|7"
        ))]])
    };
    assert!(
        greeting("120011", "t")
            .unwrap_err()
            .text
            .contains("from 13 on")
    );
    assert_eq!(greeting("150018", "t").unwrap().missing(), None);
    let missing = greeting("170004", "f").unwrap().missing().unwrap();
    assert!(
        missing.contains("GRANT pg_monitor TO \"me too\""),
        "{missing}"
    );
}

#[test]
fn more_backends_than_can_be_counted_are_as_many_as_can() {
    let mut answers = answers();
    let most = u32::MAX;
    answers[2] = vec![row(&format!("IPC|SyncRep|{most}|{most}|1.5|0|0")); 2];
    let sample = read(&answers, true).unwrap();
    assert_eq!(
        (sample.active, sample.sync_rep_waiters),
        (Some(most), Some(most))
    );
    answers[2] = vec![row(&format!("IPC|SyncRep|1|1|1.5|{most}|{most}")); 2];
    let sample = read(&answers, true).unwrap();
    assert_eq!(
        (sample.untracked, sample.sync_rep_waiters),
        (Some(most), None)
    );
}
