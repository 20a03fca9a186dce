//! Phases, and their figures.

use crate::diagnosis::tests::*;

#[test]
fn phases_have_their_own_figures_however_they_are_found() {
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    let series = run.role(Kind::Walsender);
    series.extend((21..=40).map(|second| retransmitted(second, RetransmitKind::Rto, 3)));
    let recorded = run.recorded();
    let window = Span {
        from_ns: 20 * S,
        to_ns: 40 * S,
    };
    let by_window = phases(&recorded, Choice::Fault(window));
    let by_request = phases(&recorded, Choice::Asked(20 * S, 20 * S));
    let by_series = phases(&recorded, Choice::Series);
    assert_eq!(by_series[1].found_in, Some(Signal::CommitLatency));
    for found in [&by_window, &by_request, &by_series] {
        let borders: Vec<_> = found
            .iter()
            .map(|one| (one.name, one.span.from_ns / S))
            .collect();
        assert_eq!(
            borders,
            [(Name::Baseline, 0), (Name::Fault, 20), (Name::Recovery, 40)]
        );
        let figures: Vec<_> = found.iter().map(|one| &one.figures).collect();
        let [before, fault, after] = figures[..] else {
            panic!("{figures:?}");
        };
        let replication = fault.replication.unwrap();
        assert_eq!((replication.segments, replication.per_s), (60, Some(3.0)));
        assert_eq!(replication.by_kind_per_s.unwrap().rto, 3.0);
        let nothing = Rates {
            segments: 0,
            per_s: Some(0.0),
            by_kind_per_s: Some(KindRates::default()),
        };
        assert_eq!(fault.clients, Some(nothing));
        assert_eq!(fault.selected, replication);
        assert_eq!(before.selected, nothing);
        let commits = fault.commits.unwrap();
        assert_eq!(
            (commits.answered, commits.answered_per_s),
            (200, Some(10.0))
        );
        assert!(commits.latency.p50_ms > Some(890.0) && commits.latency.max_ms < Some(901.0));
        assert!(after.commits.unwrap().latency.max_ms < Some(3.1));
        assert!(fault.reads.unwrap().latency.p99_ms < Some(1.1));
        assert_eq!(fault.sync_rep_waiters_max, Some(5));
        assert_eq!(fault.reply_age_ms_max, Some(20_040.0));
        assert_eq!(fault.sync_rep_s, Some(20.0));
        assert_eq!(fault.sync_rep_in_recovery_percent, Some(100.0));
        assert_eq!(before.wal_waiters_max, Some(1));
        assert_eq!(before.sync_rep_in_recovery_percent, Some(0.0));
    }
}

#[test]
fn phases_without_a_database_are_found_in_what_was_sent_again() {
    let mut run = Run::healthy();
    let series = run.role(Kind::Walsender);
    series.extend((21..=40).map(|second| retransmitted(second, RetransmitKind::Rto, 3)));
    let mut recorded = run.recorded();
    recorded.postgres = None;
    let found = phases(&recorded, Choice::Series);
    assert_eq!(found.len(), 3);
    assert_eq!(found[1].found_in, Some(Signal::Retransmits));
    assert_eq!(
        (found[1].span.from_ns, found[1].span.to_ns),
        (20 * S, 40 * S)
    );
    let figures = &found[1].figures;
    assert!(figures.commits.is_none() && figures.sync_rep_waiters_max.is_none());
}

#[test]
fn a_run_without_change_is_one_phase() {
    let run = Run::healthy();
    let found = phases(&run.recorded(), Choice::Series);
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].name, found[0].chosen_by),
        (Name::Whole, ChosenBy::Nothing)
    );
    assert_eq!(found[0].figures.commits.unwrap().answered, 600);
    // A fault that lasts to the end has nothing behind it, and one that outlives the
    // run ends with it.
    let found = phases(&run.recorded(), Choice::Asked(50 * S, 100 * S));
    let ends: Vec<_> = found.iter().map(|one| one.span.to_ns / S).collect();
    assert_eq!(ends, [50, 60]);
}

#[test]
fn a_part_shorter_than_an_interval_has_no_rates() {
    let mut run = Run::waiting("IPC", "SyncRep").silent();
    let series = run.role(Kind::Walsender);
    series.extend((21..=40).map(|second| retransmitted(second, RetransmitKind::Rto, 3)));
    let mut recorded = run.recorded();
    // Ended 2 ms before the run did, whose last look found the rest.
    recorded.end_ns = 40 * S;
    let window = Span {
        from_ns: 20 * S,
        to_ns: 40 * S - 2_000_000,
    };
    let found = phases(&recorded, Choice::Fault(window));
    let recovery = &found[2];
    assert_eq!(recovery.name, Name::Recovery);
    let selected = recovery.figures.selected;
    assert_eq!((selected.segments, selected.per_s), (3, None));
    assert_eq!(selected.by_kind_per_s, None);
    assert_eq!(recovery.figures.replication.unwrap().per_s, None);
    assert_eq!(found[1].figures.selected.segments, 57);
    assert!(found[1].figures.selected.per_s.is_some());
    // All of a run was read at its ends.
    recorded.end_ns = recorded.start_ns + recorded.interval_ns() / 2;
    recorded.postgres = None;
    let whole = phases(&recorded, Choice::Series);
    assert!(whole[0].figures.selected.per_s.is_some());
}
