//! Runs that were made up: each cause, and what must not be taken for one.

mod apart;
mod awaited;
mod events;
mod loss_times;
mod phases;
mod recorded_runs;
mod run;
mod slow;
mod staged;

use std::net::IpAddr;

use tracer_ebpf::RetransmitKind;

use crate::diagnosis::findings;
use crate::diagnosis::tests::run::*;
use crate::recording::bad_checksums::ConnectionEnds;

const NETWORK: [Cause; 6] = [
    Cause::LossTowardStandby,
    Cause::DamageTowardStandby,
    Cause::LossOfReplies,
    Cause::DamageOfReplies,
    Cause::Partition,
    Cause::NetworkDelay,
];

#[test]
fn a_healthy_run_has_no_finding() {
    assert_eq!(Run::healthy().causes(), []);
}

#[test]
fn a_few_lost_segments_that_nobody_waits_for_are_no_finding() {
    let mut run = Run::healthy();
    let series = run.role(Kind::Walsender);
    series.extend([5, 25, 45].map(|second| retransmitted(second, RetransmitKind::Tlp, 2)));
    assert_eq!(run.causes(), []);
}

#[test]
fn a_primary_whose_every_sample_shows_another_short_wait_is_healthy() {
    for event in ["SyncRep", "WALSync"] {
        let _case = Case::of(&event);
        let mut run = Run::waiting("IPC", event);
        let without_probe = |run: &Run| {
            let mut recorded = run.recorded();
            recorded.postgres.as_mut().unwrap().probe = None;
            found_in(&recorded).len()
        };
        assert_ne!(without_probe(&run), 0);
        let mut lasting = |ms: f64| {
            for sample in run.bad_samples() {
                let waits = sample.waits.as_mut().unwrap();
                waits.iter_mut().for_each(|one| one.longest_ms = Some(ms));
            }
            without_probe(&run)
        };
        assert_eq!(lasting(1.2), 0);
        assert_ne!(lasting(60.0), 0);
    }
}

#[test]
fn an_outage_is_found_between_other_short_waits_of_a_busy_primary() {
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    for sample in &mut run.samples {
        let mut waits = vec![wait("IPC", "SyncRep", 5)];
        waits[0].longest_ms = Some(match bad(sample.at_ns / S) {
            true => 15_000.0,
            false => 1.2,
        });
        (sample.waits, sample.sync_rep_waiters) = (Some(waits), Some(5));
    }
    let without_probe = |run: &Run| {
        let mut recorded = run.recorded();
        recorded.postgres.as_mut().unwrap().probe = None;
        found_in(&recorded)
    };
    let found = without_probe(&run);
    let shown: Vec<_> = found
        .iter()
        .map(|one| (one.cause, one.size.duration_s))
        .collect();
    assert_eq!(shown, [(Cause::StandbyNotReplying, Some(20.0))]);
    // The probe's commits stand in the same line: they were not slow.
    run.commits = steps(|_| 3);
    assert_eq!(run.causes(), []);
    // Two in a row may be statements that took their time before.
    for sample in run.bad_samples() {
        let waits = sample.waits.iter_mut().flatten();
        let is_caught = !(sample.at_ns / S).is_multiple_of(3);
        waits.for_each(|one| one.longest_ms = Some(if is_caught { 400.0 } else { 1.2 }));
    }
    assert_eq!(without_probe(&run), []);
}

#[test]
fn loss_is_shown_by_the_side_that_retransmits() {
    for (role, cause) in [
        (Kind::Walsender, Cause::LossTowardStandby),
        (Kind::Walreceiver, Cause::LossOfReplies),
    ] {
        let _case = Case::of(&role);
        let mut run = Run::waiting("IPC", "SyncRep");
        let series = run.role(role);
        series.extend((21..=40).map(|second| retransmitted(second, RetransmitKind::Rto, 3)));
        let first = run.first();
        assert_eq!((first.cause, first.confidence), (cause, Confidence::High));
        let size = first.size;
        assert_eq!((size.segments, size.rto_doublings), (Some(60), Some(4)));
        assert!(size.explained_percent > Some(90.0), "{size:?}");
        assert!(
            first.text.contains("4 times in a row, up to 3.3 s"),
            "{}",
            first.text
        );
        assert!(first.evidence.contains(&"/flows/1/segments".to_owned()));
        assert_eq!(run.causes().len(), 1);
    }
}

#[test]
fn bad_checksums_are_of_the_other_side() {
    for (role, cause) in [
        (Kind::Walsender, Cause::DamageOfReplies),
        (Kind::Walreceiver, Cause::DamageTowardStandby),
    ] {
        let _case = Case::of(&role);
        let mut run = Run::waiting("IPC", "SyncRep").silent();
        // Lost acknowledgements cost this side a few, too.
        let series = run.role(role);
        series.extend(
            (22..=39)
                .step_by(4)
                .map(|second| retransmitted(second, RetransmitKind::Tlp, 1)),
        );
        let seconds = (21..=40).step_by(2);
        run.bad_checksums = seconds
            .map(|second| BadChecksumStep {
                at_ns: second * S,
                segments: 9,
                by_peer: None,
                by_connection: None,
            })
            .collect();
        // Anybody's segments may have been corrupted.
        let first = run.first();
        assert_eq!((first.cause, first.confidence), (cause, Confidence::Medium));
        let sender = run.recorded().flows[1].remote.ip();
        run.peers = vec![sender];
        let first = run.first();
        assert_eq!((first.cause, first.confidence), (cause, Confidence::High));
        assert_eq!(first.size.segments, Some(90));
        // The kernel programs tell whose they were.
        run.peers.clear();
        let by = |run: &mut Run, peer: IpAddr| {
            for step in &mut run.bad_checksums {
                step.by_peer = Some([(peer, step.segments)].into());
            }
        };
        by(&mut run, sender);
        let first = run.first();
        assert_eq!((first.cause, first.confidence), (cause, Confidence::High));
        by(&mut run, "10.0.10.77".parse().unwrap());
        assert!(!run.causes().contains(&cause));
        by(&mut run, sender);
        assert_eq!(run.causes(), [cause]);
        // They tell the connection, too: another one of the same two hosts is none that
        // commits wait for.
        let own = run.recorded().flows[1].connection();
        let other = ConnectionEnds {
            local_port: own.local_port + 1,
            ..own
        };
        let of = |run: &mut Run, ends| {
            for step in &mut run.bad_checksums {
                step.by_connection = Some([(ends, step.segments)].into());
            }
        };
        of(&mut run, other);
        assert!(!run.causes().contains(&cause));
        of(&mut run, own);
        assert_eq!(run.causes(), [cause]);
        // Of a corrupted segment, the namespace may not be known; of the kernel's
        // counter, it is.
        run.in_csum_errors = Some(0);
        assert!(!run.causes().contains(&cause));
        // Where one namespace has no counter, nothing tells how many were another's.
        run.in_csum_errors = None;
        let first = run.first();
        assert_eq!((first.cause, first.confidence), (cause, Confidence::Medium));
    }
}

#[test]
fn timeouts_that_double_explain_the_silence_between_them() {
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    let series = run.role(Kind::Walreceiver);
    series.extend([21, 22, 24, 28, 36].map(|second| retransmitted(second, RetransmitKind::Rto, 1)));
    assert_eq!(run.causes(), [Cause::LossOfReplies]);
}

#[test]
fn silence_without_loss_is_the_standby_s_and_not_the_network_s() {
    let run = Run::waiting("IPC", "SyncRep").silent();
    let first = run.first();
    assert_eq!(
        (first.cause, first.confidence),
        (Cause::StandbyNotReplying, Confidence::High)
    );
    assert!(first.size.silent_s >= Some(19.0), "{:?}", first.size);
    // One stray probe changes nothing.
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    run.role(Kind::Walsender)
        .push(retransmitted(25, RetransmitKind::Tlp, 1));
    assert_eq!(run.first().cause, Cause::StandbyNotReplying);
    // Whose connection is not traced may have lost anything.
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    run.flows.pop();
    assert_eq!(run.first().confidence, Confidence::Low);
}

#[test]
fn the_standby_s_clock_does_not_matter() {
    let mut run = Run::waiting("IPC", "SyncRep");
    for sample in &mut run.samples {
        sample.standbys[0].reply_age_ms = Some(3_600_000.0);
    }
    assert_eq!(run.causes(), [Cause::NotDetermined]);
}

#[test]
fn a_reply_is_missing_however_late_the_samples_were_read() {
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    for (index, sample) in run.bad_samples().enumerate() {
        let standby = &mut sample.standbys[0];
        standby.reply_sent_us = Some(1_700_000_000_000_000);
        // Read a moment before or behind the others.
        let late_ms = if index % 2 == 0 { 600.0 } else { 0.0 };
        standby.reply_age_ms = standby.reply_age_ms.map(|age_ms| age_ms - late_ms);
    }
    assert_eq!(run.first().cause, Cause::StandbyNotReplying);
    for (index, sample) in run.bad_samples().enumerate() {
        sample.standbys[0].reply_sent_us = Some(index as i64);
    }
    assert_ne!(run.first().cause, Cause::StandbyNotReplying);
}

#[test]
fn a_standby_that_is_gone() {
    let mut run = Run::waiting("IPC", "SyncRep");
    for sample in run.bad_samples() {
        sample.standbys.clear();
    }
    let first = run.first();
    assert_eq!(
        (first.cause, first.confidence),
        (Cause::StandbyGone, Confidence::High)
    );
    assert!(first.text.contains("'db2'"), "{}", first.text);
}

#[test]
fn waits_of_the_primary_s_own() {
    for (kind, event, cause) in [
        ("IO", "WALSync", Cause::WalFlush),
        ("IO", "WalSync", Cause::WalFlush),
        ("LWLock", "WALWrite", Cause::WalFlush),
        ("Lock", "transactionid", Cause::LockWaits),
    ] {
        let _case = Case::of(&event);
        let run = Run::waiting(kind, event);
        let first = run.first();
        assert_eq!(
            (first.cause, first.confidence),
            (cause, Confidence::High),
            "{event}"
        );
        assert_eq!(first.size.waiters_max, Some(5));
        assert_eq!(run.causes(), [cause], "{event}");
    }
}

#[test]
fn who_waits_for_a_turn_to_lead_is_blocked_by_nobody() {
    assert!(
        !Run::waiting("Lock", "advisory")
            .causes()
            .contains(&Cause::LockWaits)
    );
}

#[test]
fn who_waits_for_the_lock_of_one_that_waits_is_no_cause() {
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    for sample in run.bad_samples() {
        let waits = vec![wait("Lock", "tuple", 30), wait("IPC", "SyncRep", 1)];
        sample.waits = Some(waits);
        sample.sync_rep_waiters = Some(1);
    }
    assert_eq!(run.causes(), [Cause::StandbyNotReplying]);
}

#[test]
fn a_synchronous_standby_that_is_none() {
    let mut run = Run::healthy();
    for sample in run.bad_samples() {
        sample.synchronous_standby_names = Some(String::new());
    }
    let first = run.first();
    assert_eq!(
        (first.cause, first.confidence),
        (Cause::SyncWaitOff, Confidence::High)
    );
    for sample in &mut run.samples {
        sample.synchronous_standby_names = Some(String::new());
    }
    assert_eq!(run.first().confidence, Confidence::Low);

    let mut run = Run::healthy();
    for sample in run.bad_samples() {
        sample.standbys[0].flush_lag_bytes = Some(-1_000_000_000);
    }
    let first = run.first();
    assert_eq!(
        (first.cause, first.size.lag_bytes),
        (Cause::SyncWaitOff, Some(-1_000_000_000))
    );
    // At two moments in a minute the primary's own position was read late.
    let mut late = Run::healthy();
    for second in [5, 45] {
        late.samples[second].standbys[0].flush_lag_bytes = Some(-2 << 20);
    }
    assert_eq!(late.causes(), []);
    // By its own positions it is known that it was.
    for (second, sample) in late.samples.iter_mut().enumerate() {
        sample.wal_lsn = Some(format!("0/{:X}", 0x0300_0000 + second * 0x0010_0000));
    }
    assert_eq!(late.first().cause, Cause::SyncWaitOff);
    // A position that was read a moment later.
    for sample in run.bad_samples() {
        sample.standbys[0].flush_lag_bytes = Some(-300);
    }
    assert_eq!(run.causes(), []);
}

#[test]
fn slow_commits_that_nobody_is_seen_to_wait_for() {
    let mut run = Run::healthy();
    run.commits = steps(|second| if bad(second) { 900 } else { 3 });
    for sample in &mut run.samples {
        sample.waits = Some(Vec::new());
    }
    assert_eq!(run.first().cause, Cause::NotTheNetwork);
    run.reads = run.commits.clone();
    assert_eq!(run.first().cause, Cause::NotDetermined);
}

#[test]
fn a_network_that_loses_is_found_without_a_database_too_but_not_what_it_did() {
    let mut run = Run::healthy();
    let series = run.role(Kind::Walsender);
    series.extend((21..=40).map(|second| retransmitted(second, RetransmitKind::Rto, 3)));
    let mut recorded = run.recorded();
    recorded.postgres = None;
    let found = found_in(&recorded);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].cause, Cause::LossTowardStandby);
    assert_eq!(found[0].confidence, Confidence::Low);
    assert!(found[0].text.contains("is not seen on this host"));
}

#[test]
fn a_very_long_run_of_which_not_every_sample_is_kept() {
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    run.samples
        .retain(|sample| (sample.at_ns / S).is_multiple_of(5));
    let mut recorded = run.recorded();
    recorded.postgres.as_mut().unwrap().stride = 5;
    let found = found_in(&recorded);
    assert_eq!(found[0].cause, Cause::StandbyNotReplying);
}

/// Whatever else happens: where nothing was retransmitted and nothing arrived with a bad checksum,
/// it is not called the network's fault.
#[test]
fn without_loss_there_is_no_verdict_on_the_network() {
    let waits = [
        ("IPC", "SyncRep"),
        ("IO", "WALSync"),
        ("Lock", "tuple"),
        ("Client", "ClientRead"),
    ];
    let mut shown = String::new();
    for (kind, event) in waits {
        for change in 0..16 {
            let mut run = Run::waiting(kind, event);
            if change & 1 != 0 {
                run = run.silent();
            }
            for sample in run.bad_samples() {
                if change & 2 != 0 {
                    sample.standbys.clear();
                }
                if change & 4 != 0 {
                    sample.synchronous_standby_names = Some(String::new());
                }
            }
            // What is sent into a closed window, and what opens a connection, is no
            // loss.
            if change & 8 != 0 {
                let series = run.role(Kind::Walsender);
                series.extend(
                    (21..=40).map(|second| retransmitted(second, RetransmitKind::Other, 5)),
                );
                series
                    .extend((21..=40).map(|second| retransmitted(second, RetransmitKind::Syn, 5)));
            }
            let found = findings(&run.recorded());
            let causes = found.iter().map(|one| one.cause).collect::<Vec<_>>();
            let network = causes.iter().any(|cause| NETWORK.contains(cause));
            assert!(!network, "{event} {change}: {causes:?}");
            shown += &format!("{event} {change}: {causes:?}\n");
        }
    }
    frozen("without-loss", &shown);
}
