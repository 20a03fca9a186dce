//! Why replay stood on the standby, where its server was asked: what the startup process waited
//! for in the samples in which it had WAL to replay.

use std::collections::BTreeMap;

use crate::evidence::thresholds::{MIN_SAMPLES, MIN_SHARE};
use crate::harmless;
use crate::merge::model::HostFinding;
use crate::merge::waited::Waited;
use crate::report::Report;
use crate::report::finding::Cause;
use crate::report::sample::Replay;

/// Adds to a finding that commits waited for replay why it stood. `index` is the place of the
/// standby's report in the merged file.
pub(crate) fn explain(
    findings: &mut [HostFinding],
    standby: &Report,
    waited: &Waited,
    label: &str,
    index: usize,
) {
    let of_replay = findings
        .iter_mut()
        .find(|one| one.finding.cause == Cause::StandbyApply);
    if let Some(found) = of_replay
        && let Some((why, at)) = why(standby, waited)
    {
        let finding = &mut found.finding;
        finding.text = format!("{} On {label}, {why}.", finding.text);
        let pointer = format!("/reports/{index}/postgres/series/{at}/replay");
        finding.evidence.push(pointer);
    }
}

/// In how many samples of the time in which commits waited replay stood for what, and one of them.
fn why(standby: &Report, waited: &Waited) -> Option<(String, usize)> {
    let series: Vec<_> = standby
        .postgres
        .iter()
        .flat_map(|one| &one.series)
        .collect();
    let behind = series.iter().enumerate().filter_map(|(index, one)| {
        let replay = one.sample.replay.as_ref()?;
        let before = index.checked_sub(1).and_then(|at| series.get(at));
        let length_s = before.map_or(0.0, |before| one.offset_s - before.offset_s);
        let is_asked = replay.lag_bytes > Some(0) && waited.has(one.offset_s, length_s);
        is_asked.then_some((index, replay))
    });
    let mut seen: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut all: usize = 0;
    for (index, replay) in behind {
        all = all.saturating_add(1);
        if let Some(what) = words(replay) {
            let (count, _) = seen.entry(what).or_insert((0, index));
            *count = count.saturating_add(1);
        }
    }
    if all < MIN_SAMPLES {
        return None;
    }
    let mut seen: Vec<_> = seen.into_iter().collect();
    seen.retain(|(_, (count, _))| *count as f64 >= MIN_SHARE * all as f64);
    seen.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    let at = seen.first()?.1.1;
    let parts: Vec<_> = seen
        .into_iter()
        .map(|(what, (count, _))| format!("in {count} of {all} samples with WAL to replay, {what}"))
        .collect();
    Some((parts.join("; "), at))
}

/// What the startup process waited for; [`None`] if that does not tell why it stood. Names are
/// those of versions 13 to 18
/// (<https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/utils/activity/wait_event.c>).
fn words(replay: &Replay) -> Option<String> {
    if replay.paused {
        return Some("replay was paused (pg_wal_replay_pause)".to_owned());
    }
    let (kind, event) = (
        replay.wait_event_type.as_deref(),
        replay.wait_event.as_deref(),
    );
    let (Some(kind), Some(event)) = (kind, event) else {
        // Also where we may not see it.
        return None;
    };
    let shown = harmless::line(event);
    Some(match (kind, event) {
        (_, "RecoveryPause") => "replay was paused (RecoveryPause)".to_owned(),
        (_, "RecoveryConflictSnapshot") => {
            "replay waited for queries on the standby that still see rows to be removed (RecoveryConflictSnapshot)".to_owned()
        }
        (_, "RecoveryConflictTablespace") => {
            "replay waited for queries on the standby that use a tablespace to be dropped (RecoveryConflictTablespace)".to_owned()
        }
        (_, "RecoveryApplyDelay") => {
            "replay was delayed on purpose (recovery_min_apply_delay)".to_owned()
        }
        ("Lock", _) => format!("replay waited for a lock that a session on the standby holds (Lock: {shown})"),
        ("BufferPin" | "Buffer", _) => {
            format!("replay waited for a page that a query on the standby keeps ({shown})")
        }
        ("IO", _) => format!("replay waited for the standby's disk ({shown})"),
        ("LWLock", _) => format!("replay waited for another process of the standby (LWLock: {shown})"),
        // It has replayed what there was, or waits for more.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(kind: Option<&str>, event: Option<&str>, paused: bool) -> Replay {
        Replay {
            lsn: None,
            lag_bytes: Some(100),
            last_commit_age_ms: None,
            paused,
            wait_event_type: kind.map(str::to_owned),
            wait_event: event.map(str::to_owned),
        }
    }

    #[test]
    fn what_replay_stood_for_is_said_and_nothing_where_it_ran() {
        let of = |kind, event| words(&replay(Some(kind), Some(event), false));
        assert!(
            of("IPC", "RecoveryConflictSnapshot")
                .unwrap()
                .contains("rows")
        );
        assert!(of("IPC", "RecoveryPause").unwrap().contains("paused"));
        assert!(
            of("Timeout", "RecoveryApplyDelay")
                .unwrap()
                .contains("recovery_min_apply_delay")
        );
        assert!(
            of("Lock", "relation")
                .unwrap()
                .ends_with("(Lock: relation)")
        );
        assert!(of("BufferPin", "BufferPin").unwrap().contains("page"));
        assert!(of("IO", "DataFileRead").unwrap().contains("disk"));
        assert_eq!(of("Activity", "RecoveryWalStream"), None);
        assert_eq!(words(&replay(None, None, false)), None);
        assert!(words(&replay(None, None, true)).unwrap().contains("paused"));
    }

    /// A standby that was asked each second for a minute, and paused replay for ten seconds.
    fn standby() -> Report {
        let mut report = Report::read(include_bytes!("../../tests/data/db1.json")).unwrap();
        let series = &mut report.postgres.as_mut().unwrap().series;
        let first = series[0].clone();
        *series = (1..=60)
            .map(|second: u32| {
                let mut entry = first.clone();
                entry.offset_s = f64::from(second);
                let is_paused = (30..40).contains(&second);
                entry.sample.replay = Some(replay(Some("IO"), Some("DataFileRead"), is_paused));
                entry
            })
            .collect();
        report
    }

    #[test]
    fn only_samples_of_the_time_in_which_commits_waited_tell_why_replay_stood() {
        let mut primary = Report::read(include_bytes!("../../tests/data/db1.json")).unwrap();
        let commits = primary.commits.as_mut().unwrap();
        commits.slow.truncate(1);
        let one = &mut commits.slow[0];
        (one.offset_s, one.total_ms, one.wait_ms) = (29.0, 10_000.0, 10_000.0);
        commits.servers.iter_mut().for_each(|one| one.waiting = 0);
        let (why, at) = why(&standby(), &Waited::of(&primary, Some(0.0))).unwrap();
        let paused =
            "in 10 of 10 samples with WAL to replay, replay was paused (pg_wal_replay_pause)";
        assert_eq!((why.as_str(), at), (paused, 29));
        // Where it is not known when that was, all count.
        let (why, _) = self::why(&standby(), &Waited::of(&primary, None)).unwrap();
        assert!(why.starts_with("in 50 of 60 samples"), "{why}");
    }

    #[test]
    fn what_a_server_says_does_nothing_to_a_terminal() {
        let evil = words(&replay(Some("IO"), Some("\u{1b}[2J\n"), false)).unwrap();
        assert!(!evil.contains('\u{1b}') && !evil.contains('\n'), "{evil:?}");
    }
}
