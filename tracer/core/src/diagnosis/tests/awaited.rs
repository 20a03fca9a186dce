//! Whom commits wait for decides who is judged: what becomes of any other standby is no
//! reason for a commit to wait.

use std::net::{IpAddr, SocketAddr};

use crate::diagnosis::tests::*;
use crate::recording::flow_interval::FlowInterval;
use crate::report::sample::Standby;

const DB3: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 10, 4));

/// A second standby, beside the first.
fn db3() -> Standby {
    Standby {
        pid: 18,
        application_name: Some("db3".into()),
        client_addr: Some(DB3.to_string()),
        client_port: Some(40_397),
        sync_state: None,
        ..standby(40.0)
    }
}

fn db2() -> Standby {
    Standby {
        sync_state: None,
        ..standby(40.0)
    }
}

/// A run with two standbys, and what they say while somebody waits.
struct Two {
    run: Run,
    db3: IpAddr,
    to_db3: Vec<FlowInterval>,
}

impl Two {
    fn new(names: &str, meanwhile: impl Fn(u64) -> Vec<Standby>) -> Self {
        let mut run = Run::waiting("IPC", "SyncRep");
        for sample in &mut run.samples {
            let second = sample.at_ns / S;
            sample.synchronous_standby_names = Some(names.to_owned());
            sample.synchronous_commit = Some("on".to_owned());
            sample.standbys = match bad(second) {
                true => meanwhile(second - 20),
                false => vec![db2(), db3()],
            };
        }
        Self {
            run,
            db3: DB3,
            to_db3: Vec::new(),
        }
    }

    fn findings(&self) -> Vec<Finding> {
        let mut recorded = self.run.recorded();
        let mut to_db3 = recorded.flows[1].clone();
        to_db3.remote = SocketAddr::new(self.db3, 40_397);
        to_db3.name = "db3".to_owned();
        to_db3.series = self.to_db3.iter().copied().collect();
        to_db3.path.clear();
        recorded.flows.push(to_db3);
        found_in(&recorded)
    }

    fn causes(&self) -> Vec<Cause> {
        self.findings().iter().map(|one| one.cause).collect()
    }

    fn first(&self) -> Finding {
        let first = self.findings().into_iter().next();
        first.expect("something is found")
    }
}

fn lossy() -> Vec<FlowInterval> {
    (21..=40)
        .map(|second| retransmitted(second, RetransmitKind::Rto, 3))
        .collect()
}

/// It has written the WAL, and not flushed it.
fn slow_disk(standby: Standby) -> Standby {
    Standby {
        write_lag_bytes: Some(0),
        ..behind(standby)
    }
}

/// It says nothing any more.
fn frozen(standby: Standby, since: u64) -> Standby {
    Standby {
        reply_age_ms: Some(40.0 + since as f64 * 1e3),
        ..behind(standby)
    }
}

#[test]
fn a_standby_that_is_gone_is_named_whoever_else_streams() {
    let receiver = Standby {
        application_name: Some("pg_receivewal".into()),
        flush_lag_bytes: None,
        replay_lag_bytes: None,
        sync_state: Some("async".into()),
        ..db3()
    };
    for other in [db3(), receiver] {
        let _case = Case::of(&other.application_name);
        let name = other.application_name.clone().unwrap();
        let two = Two::new("db2", |_| vec![other.clone()]);
        let first = two.first();
        let shown = (first.cause, first.confidence);
        assert_eq!(shown, (Cause::StandbyGone, Confidence::High), "{first:?}");
        let db2 = "wait for the standby db2, which is not connected";
        assert!(first.text.contains(db2), "{}", first.text);
        assert!(first.text.contains(&name), "{}", first.text);
        assert_eq!(two.causes(), [Cause::StandbyGone]);
    }
}

#[test]
fn a_name_that_nobody_ever_had_may_be_misspelt() {
    let two = Two::new("bd2", |_| vec![behind(db2()), db3()]);
    let first = two.first();
    assert_eq!(first.cause, Cause::StandbyGone);
    assert!(first.text.contains("the standby bd2"), "{}", first.text);
    assert!(first.text.contains("misspelt"), "{}", first.text);
    assert!(
        !Two::new("db2", |_| vec![db3()])
            .first()
            .text
            .contains("misspelt")
    );
}

#[test]
fn a_standby_that_only_catches_up_is_said_to() {
    let joining = Standby {
        state: Some("catchup".into()),
        ..behind(db2())
    };
    let mut two = Two::new("db2", |_| vec![joining.clone(), db3()]);
    let first = two.first();
    assert_eq!(first.cause, Cause::StandbyGone);
    assert!(first.text.contains("db2 (catchup)"), "{}", first.text);
    // Unless it is the network that keeps it from it.
    *two.run.role(Kind::Walsender) = lossy();
    assert_eq!(two.first().cause, Cause::LossTowardStandby);
}

#[test]
fn of_two_that_are_needed_the_one_that_is_behind_is_accused() {
    for names in ["FIRST 2 (db2, db3)", "ANY 2 (db2, db3)"] {
        let _case = Case::of(&names);
        let two = Two::new(names, |since| vec![db2(), frozen(db3(), since)]);
        let first = two.first();
        assert_eq!(first.cause, Cause::StandbyNotReplying, "{names}");
        assert!(first.text.contains("standby db3"), "{}", first.text);
        let two = Two::new(names, |_| vec![db2(), slow_disk(db3())]);
        let first = two.first();
        assert_eq!(first.cause, Cause::StandbyFlush, "{names}");
        assert!(first.text.contains("standby db3"), "{}", first.text);
    }
}

#[test]
fn what_is_lost_on_the_path_of_one_that_is_not_needed_is_no_cause() {
    for names in ["db2", "FIRST 1 (db2, db3)", "ANY 1 (db2, db3)"] {
        let _case = Case::of(&names);
        // Its disk is slow, and beside it the other one's way loses.
        let mut two = Two::new(names, |_| {
            vec![
                slow_disk(db2()),
                Standby {
                    replay_lag_bytes: Some(9_000),
                    flush_lag_bytes: Some(9_000),
                    write_lag_bytes: Some(9_000),
                    ..behind(db3())
                },
            ]
        });
        two.to_db3 = lossy();
        let first = two.first();
        let shown = (first.cause, first.confidence);
        assert_eq!(shown, (Cause::StandbyFlush, Confidence::High), "{names}");
        assert_eq!(two.causes(), [Cause::StandbyFlush], "{names}");
    }
    // The same with the one that is needed.
    let mut two = Two::new("ANY 1 (db3)", |_| vec![db2(), behind(db3())]);
    two.to_db3 = lossy();
    let first = two.first();
    assert_eq!(first.cause, Cause::LossTowardStandby);
    assert!(first.text.contains("standby db3"), "{}", first.text);
    assert_eq!(first.evidence[0], "/flows/2/segments");
}

#[test]
fn two_standbys_behind_one_address_are_not_each_other_s_echo() {
    let same_ip = || Standby {
        client_addr: Some(STANDBY.to_string()),
        sync_state: Some("async".into()),
        ..db3()
    };
    let mut two = Two::new("db2", |_| vec![behind(db2()), same_ip()]);
    for sample in two.run.samples.iter_mut().filter(|one| !bad(one.at_ns / S)) {
        sample.standbys[1] = same_ip();
    }
    two.db3 = STANDBY;
    two.to_db3 = (21..=40)
        .map(|second| retransmitted(second, RetransmitKind::Rto, 15))
        .collect();
    let series = two.run.role(Kind::Walsender);
    series.extend((21..=40).map(|second| retransmitted(second, RetransmitKind::Rto, 1)));
    let first = two.first();
    assert_eq!(first.cause, Cause::LossTowardStandby, "{first:?}");
    assert!(first.text.contains("standby db2"), "{}", first.text);
    assert_eq!(first.evidence[0], "/flows/1/segments");
    assert_eq!(two.causes(), [Cause::LossTowardStandby]);
}

#[test]
fn a_path_that_is_long_counts_only_where_it_is_waited_for() {
    let mut two = Two::new("ANY 1 (db2, db3)", |_| vec![db2(), behind(db3())]);
    two.run.commits = steps(|second| if bad(second) { 150 } else { 3 });
    two.run.path = (1..=RUN)
        .map(|second| TcpInfoSample {
            at_ns: second * S,
            srtt_us: Some(if bad(second) { 100_000 } else { 120 }),
            ..TcpInfoSample::default()
        })
        .collect();
    // db2 is ahead of the other one, so that it is waited for, far away as it is.
    for sample in two.run.bad_samples() {
        sample.standbys[0] = Standby {
            flush_lag_bytes: Some(300),
            write_lag_bytes: Some(300),
            replay_lag_bytes: Some(300),
            ..behind(db2())
        };
    }
    assert_eq!(two.first().cause, Cause::NetworkDelay);
    // It is behind, and the other one completes the quorum.
    for sample in two.run.bad_samples() {
        sample.standbys[0] = behind(behind(db2()));
        sample.standbys[1] = Standby {
            flush_lag_bytes: Some(300),
            write_lag_bytes: Some(300),
            replay_lag_bytes: Some(300),
            ..behind(db3())
        };
    }
    assert!(
        !two.causes().contains(&Cause::NetworkDelay),
        "{:?}",
        two.first()
    );
}

#[test]
fn a_standby_that_has_everything_lost_nothing_of_it() {
    // All of it is on its disk, and some segments were lost on their way meanwhile.
    let mut two = Two::new("db2", |_| {
        let applying = Standby {
            write_lag_bytes: Some(0),
            flush_lag_bytes: Some(0),
            ..behind(db2())
        };
        vec![applying, db3()]
    });
    *two.run.role(Kind::Walsender) = lossy();
    assert_eq!(two.causes(), [Cause::StandbyApply]);
}

#[test]
fn behind_address_translation_it_is_not_known_whose_path_it_is() {
    let nat = |mut standby: Standby| {
        standby.client_addr = Some("192.168.7.7".into());
        standby
    };
    let mut two = Two::new("db2", |_| vec![nat(behind(db2())), nat(db3())]);
    for sample in &mut two.run.samples {
        for standby in &mut sample.standbys {
            *standby = nat(standby.clone());
        }
    }
    two.to_db3 = lossy();
    let first = two.first();
    let shown = (first.cause, first.confidence);
    assert_eq!(
        shown,
        (Cause::LossTowardStandby, Confidence::Low),
        "{first:?}"
    );
    // With one standby, it can be no other's.
    for sample in &mut two.run.samples {
        sample.standbys.truncate(1);
    }
    assert_eq!(two.first().confidence, Confidence::High);
}
