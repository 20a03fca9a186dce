//! Commits that do not wait for a standby that is there: nothing is slow, and what is
//! committed can be lost.

use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::Evidence;
use crate::evidence::blocked::{SampleInterval, duration_s};
use crate::evidence::thresholds::{FAR_AHEAD_BYTES, MIN_SAMPLES};
use crate::evidence::waiting::sample;
use crate::recording::standby::label;
use crate::report::finding::{Cause, Confidence, Finding, Size};
use crate::report::position;
use crate::report::sample::{Sample, Standby};
use crate::text;

/// The longest setting that is shown whole.
const MAX_SETTING: usize = 64;

pub(super) fn findings(evidence: &Evidence<'_>) -> Vec<Ranked> {
    let samples = &evidence.samples;
    let found = [standby_names_empty(samples), impossible_lsn(samples)];
    found.into_iter().flatten().collect()
}

fn names<'a>(interval: &SampleInterval<'a>) -> Option<&'a str> {
    interval.sample.synchronous_standby_names.as_deref()
}

/// `synchronous_standby_names` is empty though a standby streams.
fn standby_names_empty(samples: &[SampleInterval<'_>]) -> Option<Ranked> {
    let is_off = |one: &&SampleInterval<'_>| {
        let mut standbys = one.sample.standbys.iter();
        names(one) == Some("") && standbys.any(|one| one.state.as_deref() == Some("streaming"))
    };
    let off: Vec<_> = samples.iter().filter(is_off).copied().collect();
    let first = off.first().filter(|_| off.len() >= MIN_SAMPLES)?;
    let was_on = samples
        .iter()
        .filter(|one| one.index < first.index)
        .rfind(|one| names(one).is_some_and(|names| !names.is_empty()));
    let mut evidence = vec![
        sample(first.index, "synchronous_standby_names"),
        sample(first.index, "standbys"),
    ];
    let (rank, confidence, text) = match was_on {
        None => (
            Rank::MayBeIntended,
            Confidence::Low,
            "No commit waits for a standby: synchronous_standby_names is empty, though a standby streams. That may be intended.".to_owned(),
        ),
        Some(before) => {
            evidence.push(sample(before.index, "synchronous_standby_names"));
            let setting = text::harmless(names(before).unwrap_or_default(), MAX_SETTING);
            let text = format!(
                "Commits no longer wait for a standby: synchronous_standby_names was '{setting}' and was emptied during the run, while a standby streams."
            );
            (Rank::DataAtRisk, Confidence::High, text)
        }
    };
    let finding = Finding {
        text,
        cause: Cause::SyncWaitOff,
        confidence,
        size: Size {
            duration_s: Some(duration_s(off.iter())),
            ..Size::default()
        },
        evidence,
    };
    Some(Ranked::new(rank, finding))
}

/// Whether a standby claims to have WAL that was not even written at the next sample: positions of
/// one sample are read one after the other, and WAL is written meanwhile. Where the primary does
/// not show its own, the next sample has to show such a claim, too.
fn is_beyond(sample: &Sample, standby: &Standby, lag: i64, next: &Sample) -> bool {
    let written = |sample: &Sample| sample.wal_lsn.as_deref().and_then(position::parse);
    match (written(sample), written(next)) {
        (Some(then), Some(later)) => then.saturating_add(lag.unsigned_abs()) > later,
        _ => {
            let mut standbys = next.standbys.iter();
            let same = standbys.find(|one| one.pid == standby.pid);
            same.is_some_and(|one| one.flush_lag_bytes.is_some_and(|lag| lag < FAR_AHEAD_BYTES))
        }
    }
}

/// A synchronous standby that claims to have WAL that was never written.
fn impossible_lsn(samples: &[SampleInterval<'_>]) -> Option<Ranked> {
    let mut claims = Vec::new();
    for (at, interval) in samples.iter().enumerate() {
        let next = samples.get(at + 1).map(|one| one.sample);
        for (place, standby) in interval.sample.standbys.iter().enumerate() {
            let is_sync = matches!(standby.sync_state.as_deref(), Some("sync" | "quorum"));
            if let Some(lag) = standby.flush_lag_bytes.filter(|lag| *lag < FAR_AHEAD_BYTES)
                && is_sync
                && next.is_some_and(|next| is_beyond(interval.sample, standby, lag, next))
            {
                claims.push((interval, place, lag));
            }
        }
    }
    let (worst, place, lag) = claims.iter().min_by_key(|(_, _, lag)| *lag)?;
    if claims.len() < MIN_SAMPLES {
        return None;
    }
    let standby = worst.sample.standbys.get(*place)?;
    let finding = Finding {
        text: format!(
            "Commits need not wait for standby {}: it says that it has flushed {} more than was ever written, and is called synchronous all the same.",
            label::of(worst.sample, standby),
            text::bytes(lag.saturating_neg())
        ),
        cause: Cause::SyncWaitOff,
        confidence: Confidence::High,
        size: Size {
            duration_s: Some(duration_s(claims.iter().map(|(interval, ..)| *interval))),
            lag_bytes: Some(*lag),
            ..Size::default()
        },
        evidence: ["flush_lag_bytes", "sync_state"]
            .map(|field| sample(worst.index, &format!("standbys/{place}/{field}")))
            .to_vec(),
    };
    Some(Ranked::new(Rank::DataAtRisk, finding))
}
