//! Commits that do not wait for a standby that is there: nothing is slow, and what is
//! committed can be lost.

use crate::diagnosis::judge::{Case, LEAST_SAMPLES, Weighed, duration_s, sample};
use crate::evidence::blocked::Slice;
use crate::recording::standby::label;
use crate::report::finding::{Cause, Confidence, Finding, Size};
use crate::text;

/// A position that is read a moment later may be a little ahead; what a standby
/// claims by mistake is far away.
const FAR_AHEAD: i64 = -(1 << 20);

pub(crate) fn judge(case: &Case<'_>) -> Vec<Weighed> {
    emptied(case).into_iter().chain(ahead(case)).collect()
}

fn names<'a>(slice: &Slice<'a>) -> Option<&'a str> {
    slice.sample.synchronous_standby_names.as_deref()
}

/// `synchronous_standby_names` is empty though a standby streams.
fn emptied(case: &Case<'_>) -> Option<Weighed> {
    let is_off = |slice: &&Slice<'_>| {
        let mut standbys = slice.sample.standbys.iter();
        names(slice) == Some("") && standbys.any(|one| one.state.as_deref() == Some("streaming"))
    };
    let off: Vec<Slice<'_>> = case.slices.iter().filter(is_off).copied().collect();
    let first = off.first().filter(|_| off.len() >= LEAST_SAMPLES)?;
    let was_on = case
        .slices
        .iter()
        .filter(|slice| slice.index < first.index)
        .rfind(|slice| names(slice).is_some_and(|names| !names.is_empty()));
    let size = Size {
        duration_s: Some(duration_s(off.iter())),
        ..Size::default()
    };
    let mut evidence = vec![
        sample(first.index, "synchronous_standby_names"),
        sample(first.index, "standbys"),
    ];
    Some(match was_on {
        Some(before) => {
            evidence.push(sample(before.index, "synchronous_standby_names"));
            let finding = Finding {
                text: format!(
                    "Commits no longer wait for a standby: synchronous_standby_names was '{}' and was emptied during the run, while a standby streams.",
                    text::harmless(names(before).unwrap_or_default(), 64)
                ),
                cause: Cause::SyncWaitOff,
                confidence: Confidence::High,
                size,
                evidence,
            };
            // What can be lost comes before what is slow.
            (f64::INFINITY, finding)
        }
        None => {
            let finding = Finding {
                text: "No commit waits for a standby: synchronous_standby_names is empty, though a standby streams. That may be meant so.".to_owned(),
                cause: Cause::SyncWaitOff,
                confidence: Confidence::Low,
                size,
                evidence,
            };
            (0.0, finding)
        }
    })
}

/// A synchronous standby that claims to have log that was never written.
fn ahead(case: &Case<'_>) -> Option<Weighed> {
    let mut claims = Vec::new();
    for slice in &case.slices {
        for (place, standby) in slice.sample.standbys.iter().enumerate() {
            let is_sync = matches!(standby.sync_state.as_deref(), Some("sync" | "quorum"));
            if let Some(lag) = standby.flush_lag_bytes.filter(|lag| *lag < FAR_AHEAD)
                && is_sync
            {
                claims.push((slice, place, lag));
            }
        }
    }
    let (slice, place, lag) = claims.iter().min_by_key(|(_, _, lag)| *lag)?;
    if claims.len() < LEAST_SAMPLES {
        return None;
    }
    let standby = slice.sample.standbys.get(*place)?;
    let finding = Finding {
        text: format!(
            "Commits need not wait for the standby {}: it says that it has flushed {} more than was ever written, and is called synchronous all the same.",
            label::of(slice.sample, standby),
            text::bytes(-lag)
        ),
        cause: Cause::SyncWaitOff,
        confidence: Confidence::High,
        size: Size {
            duration_s: Some(duration_s(claims.iter().map(|(slice, ..)| *slice))),
            lag_bytes: Some(*lag),
            ..Size::default()
        },
        evidence: ["flush_lag_bytes", "sync_state"]
            .map(|field| sample(slice.index, &format!("standbys/{place}/{field}")))
            .to_vec(),
    };
    Some((f64::INFINITY, finding))
}
