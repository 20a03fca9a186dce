//! Whom the commits of a primary wait for, setting by setting.

use crate::awaited::*;
use crate::report::sample::{Role, tests as made};

/// One that streams and has confirmed all but so many bytes.
fn standby(name: &str, lag: i64) -> Standby {
    Standby {
        write_lag_bytes: Some(lag),
        flush_lag_bytes: Some(lag),
        replay_lag_bytes: Some(lag),
        sync_state: None,
        ..made::standby(name, 17)
    }
}

fn sample(names: &str, standbys: Vec<Standby>) -> Sample {
    Sample {
        synchronous_standby_names: Some(names.to_owned()),
        synchronous_commit: Some("on".to_owned()),
        standbys,
        ..made::sample(Role::Primary)
    }
}

fn holding(sample: &Sample) -> Vec<&str> {
    let holding = awaited(sample).unwrap().holding;
    holding.iter().filter_map(|one| one.name()).collect()
}

#[test]
fn of_the_first_ones_that_which_is_furthest_behind_holds_commits() {
    for (names, lags, expected) in [
        // One that is not needed holds nothing, however far behind it is.
        ("db2", [200, 9_000, 0], vec!["db2"]),
        ("FIRST 1 (db2, db3)", [200, 9_000, 0], vec!["db2"]),
        ("FIRST 1 (db3, db2)", [200, 9_000, 0], vec!["db3"]),
        ("FIRST 2 (db2, db3)", [200, 9_000, 0], vec!["db3"]),
        ("FIRST 2 (db2, db3)", [9_000, 9_000, 0], vec!["db2", "db3"]),
        ("2 (db2, db3, db4)", [9_000, 0, 99_000], vec!["db2"]),
        ("*", [0, 9_000, 0], vec!["db2"]),
    ] {
        let [db2, db3, db4] = lags;
        let all = [("db2", db2), ("db3", db3), ("db4", db4)];
        let sample = sample(names, all.map(|(name, lag)| standby(name, lag)).to_vec());
        assert_eq!(holding(&sample), expected, "{names}");
    }
}

#[test]
fn of_a_quorum_the_one_that_completes_it_holds_commits() {
    for (names, lags, expected) in [
        ("ANY 1 (db2, db3)", [9_000, 200], vec!["db3"]),
        ("ANY 1 (db2, db3)", [9_000, 9_000], vec!["db2", "db3"]),
        ("ANY 2 (db2, db3)", [0, 9_000], vec!["db3"]),
        ("ANY 1 (db2)", [200, 0], vec!["db2"]),
    ] {
        let [db2, db3] = lags;
        let all = vec![standby("db2", db2), standby("db3", db3)];
        assert_eq!(holding(&sample(names, all)), expected, "{names}");
    }
}

#[test]
fn the_server_s_own_choice_among_equals_counts() {
    let says = |name: &str, sync_state: &str| Standby {
        sync_state: Some(sync_state.to_owned()),
        ..standby(name, 100)
    };
    let two = |a: &str, b: &str| {
        let standbys = vec![says("walreceiver", a), says("WALRECEIVER", b)];
        sample("walreceiver", standbys)
    };
    assert_eq!(holding(&two("potential", "sync")), ["WALRECEIVER"]);
    assert_eq!(holding(&two("sync", "potential")), ["walreceiver"]);
    // What is called asynchronous is not waited for, whatever its name.
    assert_eq!(holding(&two("async", "sync")), ["WALRECEIVER"]);
}

#[test]
fn what_is_to_be_confirmed_tells_who_is_behind() {
    let late = |name: &str, write, flush, replay| Standby {
        write_lag_bytes: write,
        flush_lag_bytes: flush,
        replay_lag_bytes: replay,
        ..standby(name, 0)
    };
    let two = || {
        vec![
            late("db2", Some(0), Some(5_000), Some(5_000)),
            late("db3", Some(300), Some(300), Some(8_000)),
        ]
    };
    let by = |level: &str, standbys| Sample {
        synchronous_commit: Some(level.to_owned()),
        ..sample("FIRST 2 (db2, db3)", standbys)
    };
    assert_eq!(holding(&by("remote_write", two())), ["db3"]);
    assert_eq!(holding(&by("on", two())), ["db2"]);
    assert_eq!(holding(&by("remote_apply", two())), ["db3"]);
    // A session of its own mind: not known which.
    assert_eq!(awaited(&by("local", two())).unwrap().level, None);
    // All is flushed, and somebody waits all the same: for it to be applied.
    let flushed = vec![
        late("db2", Some(0), Some(0), Some(0)),
        late("db3", Some(0), Some(0), Some(8_000)),
    ];
    assert_eq!(holding(&by("on", flushed)), ["db3"]);
    // One that never says how far it has replayed holds who waits for that.
    let silent = vec![standby("db2", 100), late("db3", Some(0), Some(0), None)];
    assert_eq!(holding(&by("remote_apply", silent)), ["db3"]);
}

#[test]
fn too_few_release_nothing() {
    let of = |names: &str, standbys: Vec<Standby>| {
        let sample = sample(names, standbys);
        let awaited = awaited(&sample).unwrap();
        assert!(awaited.holding.is_empty(), "{names}");
        let joining = awaited.joining.iter();
        let joining: Vec<_> = joining.filter_map(|one| one.state.clone()).collect();
        (awaited.lacking, awaited.absent, joining)
    };
    let names = |names: &[&str]| names.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
    let other = || vec![standby("db3", 0)];
    assert_eq!(of("db2", other()), (1, names(&["db2"]), vec![]));
    assert_eq!(of("*", Vec::new()), (1, vec![], vec![]));
    let both = "FIRST 2 (db2, db3)";
    assert_eq!(of(both, other()), (1, names(&["db2"]), vec![]));
    let three = "ANY 2 (db2, db3, db4)";
    assert_eq!(of(three, other()), (1, names(&["db2", "db4"]), vec![]));
    // It is there, and only catches up.
    let state = |state: &str, name| Standby {
        state: Some(state.to_owned()),
        ..standby(name, 0)
    };
    let joins = vec![state("catchup", "db2"), state("backup", "db3")];
    assert_eq!(of("db2", joins), (1, names(&["db2"]), names(&["catchup"])));
    // A receiver that never says what it has flushed releases nothing.
    let receiver = Standby {
        flush_lag_bytes: None,
        sync_state: Some("async".to_owned()),
        ..standby("pg_receivewal", 0)
    };
    assert_eq!(of("*", vec![receiver]), (1, vec![], vec![]));
}

#[test]
fn nobody_is_awaited_where_nobody_is_named() {
    assert_eq!(awaited(&sample("", vec![standby("db2", 0)])), None);
    let unknown = Sample {
        synchronous_standby_names: None,
        ..sample("", Vec::new())
    };
    assert_eq!(awaited(&unknown), None);
}
