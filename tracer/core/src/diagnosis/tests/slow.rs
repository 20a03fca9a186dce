//! What single commits tell where no server was asked.

use crate::diagnosis::tests::*;
use crate::recording::flow_series::FlowSeries;
use crate::recording::slow_commit::KnownServer;
use crate::recording::stage::WaitStages;
use crate::report::stages::Stage;

const SERVER: u32 = 17;

/// One slow commit a second while something is the matter, of 900 ms: what it waited
/// for the standby and for its own disk, and how much of the former is charged to a loss.
fn run(wait_ms: u64, flush_ms: u64, charged_ms: Option<u64>) -> Run {
    let mut run = Run::healthy();
    let commits = (21..=40).map(|second| {
        let whole = Span {
            from_ns: second * S,
            to_ns: second * S + 900 * MS,
        };
        SlowCommit {
            server: SERVER,
            whole,
            flush_ns: flush_ms * MS,
            wait: Span {
                from_ns: whole.to_ns - wait_ms * MS,
                ..whole
            },
            in_recovery_ns: charged_ms.map(|ms| ms * MS),
            stages: None,
        }
    });
    run.slow = Some(commits.collect());
    run
}

fn first(run: &Run) -> (Cause, Confidence) {
    let mut recorded = run.recorded();
    recorded.postgres = None;
    let found = found_in(&recorded);
    assert_eq!(found.len(), 1, "{found:?}");
    (found[0].cause, found[0].confidence)
}

#[test]
fn what_is_slow_is_what_was_said_to_be() {
    let mut run = Run::healthy();
    run.commits = steps(|second| if bad(second) { 40 } else { 3 });
    assert_eq!(run.causes(), []);
    run.slow_ms = 20.0;
    assert_eq!(run.causes(), [Cause::NotTheNetwork]);
}

#[test]
fn what_is_charged_to_a_loss_is_the_network_s_and_nothing_else_is() {
    let lossy = |charged_ms| {
        let mut run = run(880, 10, charged_ms);
        let series = run.role(Kind::Walsender);
        series.extend((21..=40).map(|second| retransmitted(second, RetransmitKind::Rto, 3)));
        run
    };
    let first_of = |charged_ms| first(&lossy(charged_ms));
    let toward = Cause::LossTowardStandby;
    assert_eq!(first_of(Some(800)), (toward, Confidence::High));
    assert_eq!(first_of(Some(400)), (toward, Confidence::Medium));
    // Something was lost, and commits waited for something else.
    let other = (Cause::NotTheNetwork, Confidence::Medium);
    assert_eq!(first_of(Some(50)), other);
    let unknown = (Cause::NotDetermined, Confidence::Low);
    assert_eq!(first_of(None), unknown);
    // A loss that so little is seen of does not tell its direction, and is none of
    // the standby's doing.
    let mut run = run(880, 10, Some(800));
    run.role(Kind::Walsender)
        .push(retransmitted(21, RetransmitKind::Rto, 2));
    assert_eq!(first(&run), unknown);
}

#[test]
fn a_long_path_is_shown_by_the_wait_of_each() {
    let mut run = run(880, 10, Some(0));
    run.path = (1..=RUN)
        .map(|second| TcpInfoSample {
            at_ns: second * S,
            srtt_us: Some(700_000),
            ..TcpInfoSample::default()
        })
        .collect();
    assert_eq!(first(&run), (Cause::NetworkDelay, Confidence::Medium));
    run.path.iter_mut().for_each(|one| one.srtt_us = Some(200));
    assert_eq!(first(&run), (Cause::NotTheNetwork, Confidence::Medium));
    // Where it is not seen what arrives with a bad checksum, that is not known.
    let mut recorded = run.recorded();
    (recorded.postgres, recorded.bad_checksums) = (None, None);
    assert_eq!(found_in(&recorded)[0].cause, Cause::NotDetermined);
}

#[test]
fn of_several_standbys_it_is_not_known_which_one_is_waited_for() {
    let mut run = run(880, 10, Some(800));
    let series = run.role(Kind::Walsender);
    series.extend((21..=40).map(|second| retransmitted(second, RetransmitKind::Rto, 3)));
    let mut recorded = run.recorded();
    recorded.postgres = None;
    let mut other = recorded.flows[1].clone();
    other.remote.set_ip("10.0.10.4".parse().unwrap());
    other.name = "10.0.10.4".to_owned();
    other.series = FlowSeries::default();
    recorded.flows.push(other);
    let found = found_in(&recorded);
    let shown = (found[0].cause, found[0].confidence);
    assert_eq!(shown, (Cause::LossTowardStandby, Confidence::Low));
    assert!(found[0].text.contains("of the 2 standbys"), "{found:?}");
}

/// What the standby's host had acknowledged, and answered late; its replies arrive out of order
/// at these times.
fn out_of_order(when: impl Fn(u64) -> bool) -> Recording {
    let mut run = run(880, 10, Some(0));
    for one in run.slow.iter_mut().flatten() {
        let mut stages = WaitStages::default();
        stages.ns[Stage::Remote as usize] = 880 * MS;
        one.stages = Some(stages);
    }
    let mut gaps = 0;
    let readings = (1..=RUN).map(|second| {
        gaps += u32::from(when(second));
        TcpInfoSample {
            at_ns: second * S,
            rcv_ooopack: Some(gaps),
            ..TcpInfoSample::default()
        }
    });
    run.path = readings.collect();
    let mut recorded = run.recorded();
    recorded.postgres = None;
    recorded
}

#[test]
fn gaps_tell_of_a_loss_only_where_there_are_no_others() {
    let found = |when: fn(u64) -> bool| {
        let found = found_in(&out_of_order(when));
        (found[0].cause, found[0].confidence)
    };
    let lost = (Cause::LossOfReplies, Confidence::Medium);
    assert_eq!(found(bad), lost);
    // One now and then.
    assert_eq!(found(|second| bad(second) || second % 4 == 0), lost);
    let unknown = (Cause::NotDetermined, Confidence::Low);
    assert_eq!(found(|_| true), unknown);
}

#[test]
fn of_several_standbys_gaps_and_round_trips_may_be_another_s() {
    let beside_another = |mut recorded: Recording| {
        let mut other = recorded.flows[1].clone();
        other.remote.set_ip("10.0.10.4".parse().unwrap());
        other.name = "db3".to_owned();
        other.path.clear();
        recorded.flows.push(other);
        let found = found_in(&recorded);
        assert!(found[0].text.contains("of the 2 standbys"), "{found:?}");
        (found[0].cause, found[0].confidence)
    };
    let gaps = out_of_order(bad);
    let shown = (Cause::LossOfReplies, Confidence::Low);
    assert_eq!(beside_another(gaps), shown);
    let mut long = run(880, 10, Some(0));
    long.path = (1..=RUN)
        .map(|second| TcpInfoSample {
            at_ns: second * S,
            srtt_us: Some(700_000),
            ..TcpInfoSample::default()
        })
        .collect();
    let mut long = long.recorded();
    long.postgres = None;
    let shown = (Cause::NetworkDelay, Confidence::Low);
    assert_eq!(beside_another(long), shown);
}

#[test]
fn the_primary_s_own_disk_and_what_is_not_known() {
    let disk = (Cause::WalFlush, Confidence::High);
    assert_eq!(first(&run(10, 880, Some(0))), disk);
    let unknown = (Cause::NotDetermined, Confidence::Low);
    assert_eq!(first(&run(10, 10, Some(0))), unknown);
    let mut starved = run(10, 10, Some(0));
    let steps = (1..=RUN).map(|second| processors::CpuInterval {
        from_ns: (second - 1) * S,
        at_ns: second * S,
        ran_ns: 50 * MS,
        waited_ns: 1_500 * MS,
    });
    starved.processors = vec![processors::CpuHistory {
        pid: SERVER,
        steps: steps.collect(),
        ..processors::CpuHistory::default()
    }];
    let cpu = (Cause::CpuStarvation, Confidence::Medium);
    assert_eq!(first(&starved), cpu);
    starved.processors[0].pid += 1;
    assert_eq!(first(&starved), unknown);
}

#[test]
fn what_is_known_of_slow_commits_is_said_whatever_else_there_is_to_note() {
    // Nobody waits for the standby by the setting, which may be intended.
    let mut asynchronous = run(10, 880, Some(0));
    for sample in &mut asynchronous.samples {
        sample.synchronous_standby_names = Some(String::new());
        sample.waits = Some(Vec::new());
    }
    let expected = [Cause::WalFlush, Cause::SyncWaitOff];
    assert_eq!(asynchronous.causes(), expected);
    // And a few backends wait for each other for a moment.
    let mut locked = run(10, 880, Some(0));
    for sample in locked.samples.iter_mut().skip(50).take(3) {
        sample.waits = Some(vec![wait("Lock", "tuple", 1)]);
    }
    let expected = [Cause::WalFlush, Cause::LockWaits];
    assert_eq!(locked.causes(), expected);
    // So with the commits of the probe.
    locked.slow = None;
    locked.commits = steps(|second| if bad(second) { 900 } else { 3 });
    let expected = [Cause::LockWaits, Cause::NotTheNetwork];
    assert_eq!(locked.causes(), expected);
}

#[test]
fn a_few_samples_that_show_who_waits_are_not_said_to_show_nobody() {
    let mut run = Run::healthy();
    run.commits = steps(|second| if (21..=23).contains(&second) { 900 } else { 3 });
    run.samples[21].waits = Some(vec![wait("IPC", "SyncRep", 1)]);
    let found = run.first();
    let shown = (found.cause, found.confidence);
    assert_eq!(shown, (Cause::NotDetermined, Confidence::Low), "{found:?}");
    assert!(!found.text.contains("no backend was seen"), "{found:?}");
    assert!(found.text.contains("in 1 of 3 samples"), "{found:?}");
    // One in twenty does not make it the standby.
    run.commits = steps(|second| if bad(second) { 900 } else { 3 });
    run.samples[26].waits = Some(Vec::new());
    let found = run.first();
    assert_eq!(found.cause, Cause::NotTheNetwork, "{found:?}");
    assert!(found.text.contains("in only 1 of 20 samples"), "{found:?}");
}

#[test]
fn whom_a_server_shows_to_wait_comes_before_single_commits() {
    let mut run = run(880, 10, Some(800));
    // Their waits were over before the next sample.
    assert_eq!(run.causes(), [Cause::NotDetermined]);
    for sample in run.bad_samples() {
        sample.waits = Some(vec![wait("IPC", "SyncRep", 5)]);
        sample.standbys = vec![behind(standby(40.0))];
        sample.standbys[0].write_lag_bytes = Some(0);
    }
    assert_eq!(run.causes(), [Cause::StandbyFlush]);
    let mut run = Run::healthy();
    run.slow = None;
    assert_eq!(run.causes(), []);
}

/// Sixty commits of 40 ms within 18 s, nearly all of it in this stage, where half a millisecond is
/// usual; for so long, most were so slow.
fn unusual(stage: Stage, lasted_s: u64) -> Recording {
    let mut run = Run::healthy();
    let commits = (0..60).map(|number| {
        let whole = Span {
            from_ns: 21 * S + number * 300 * MS,
            to_ns: 21 * S + number * 300 * MS + 40 * MS,
        };
        let mut stages = WaitStages::default();
        stages.ns[stage as usize] = 39 * MS;
        SlowCommit {
            server: SERVER,
            whole,
            flush_ns: MS,
            wait: Span {
                from_ns: whole.from_ns + MS,
                ..whole
            },
            in_recovery_ns: Some(0),
            stages: Some(stages),
        }
    });
    run.slow = Some(commits.collect());
    let mut recorded = run.recorded();
    recorded.postgres = None;
    recorded.known_servers = vec![KnownServer {
        server: SERVER,
        usual_ns: MS / 2,
        slow_times: vec![Span {
            from_ns: 21 * S,
            to_ns: (21 + lasted_s) * S,
        }],
    }];
    recorded
}

#[test]
fn what_is_far_from_usual_is_found_though_no_commit_took_as_long_as_was_asked() {
    let found = found_in(&unusual(Stage::Remote, 18));
    let shown = (found[0].cause, found[0].confidence);
    assert_eq!(shown, (Cause::NotTheNetwork, Confidence::Medium));
    assert!(
        found[0]
            .text
            .starts_with("60 slow commits took 2.4 s in all (up to 40.0 ms each; 0.5 ms is usual)"),
        "{found:?}"
    );
    // Most commits were not slow for long: those that were took half a second then.
    assert!(found_in(&unusual(Stage::Remote, 4)).is_empty());
    assert!(found_in(&unusual(Stage::Remote, 1)).is_empty());
    // What is usual is not known: they are slow by nobody's measure.
    let mut unknown = unusual(Stage::Remote, 18);
    unknown.known_servers.clear();
    assert!(found_in(&unknown).is_empty());
}

#[test]
fn single_commits_that_were_acknowledged_late_and_lost_nothing_were_held_up() {
    let held = |unacked| {
        let mut recorded = unusual(Stage::Acknowledged, 18);
        let mut walsender = recorded.flows.iter_mut();
        let walsender = walsender.find(|one| one.kind() == Kind::Walsender).unwrap();
        walsender.path = (1..=RUN)
            .map(|second| TcpInfoSample {
                at_ns: second * S,
                srtt_us: Some(120),
                unacked: Some(if bad(second) { unacked } else { 0 }),
                ..TcpInfoSample::default()
            })
            .collect();
        let found = found_in(&recorded);
        (found[0].cause, found[0].confidence)
    };
    assert_eq!(held(2), (Cause::NetworkDelay, Confidence::Medium));
    // What is not in flight waits for room, or for a processor.
    assert_eq!(held(0), (Cause::NotDetermined, Confidence::Low));
}
