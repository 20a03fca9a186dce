//! Too few standbys for any commit to be released: who is missing, by name.

use std::collections::BTreeSet;

use crate::awaited::{Awaited, awaited};
use crate::evidence::Evidence;
use crate::evidence::blocked::{SampleInterval, WaitKind, duration_s, most_waiters};
use crate::evidence::thresholds::MIN_DURATION_S;
use crate::evidence::waiting::{Waiting, sample};
use crate::recording::standby::label;
use crate::report::finding::{Cause, Confidence, Finding};
use crate::report::sample::{Sample, Standby};
use crate::text;

/// The longest setting that is shown whole.
const MAX_SETTING: usize = 64;
/// More connections than this are not listed.
const MAX_NAMES: usize = 8;

pub(super) fn finding(evidence: &Evidence<'_>, kept: &Waiting<'_>) -> Option<Finding> {
    let all = kept.intervals.iter();
    let (gone, back): (Vec<_>, Vec<_>) =
        all.partition(|one| evidence.links.awaited(one.index).is_gone);
    let (index, waiters) = most_waiters(gone.iter().copied(), WaitKind::SyncRep)?;
    let worst = gone.iter().find(|one| one.index == index)?;
    let back = match duration_s(back.into_iter()) {
        back_s if back_s >= MIN_DURATION_S => format!(
            "; for {back_s:.1} s more, after enough standbys streamed again, commits waited for the next reply"
        ),
        _ => String::new(),
    };
    let setting = worst.sample.synchronous_standby_names.as_deref();
    let setting = text::harmless(setting.unwrap_or_default(), MAX_SETTING);
    let missing = match awaited(worst.sample) {
        Some(awaited) => missing(evidence, worst, &awaited),
        None => "a standby that is not there: no standby streams".to_owned(),
    };
    Some(Finding {
        text: format!(
            "Commits wait for {missing}; synchronous_standby_names is '{setting}', and up to {waiters} backends waited{back}."
        ),
        cause: Cause::StandbyGone,
        confidence: kept.confidence().max(Confidence::Medium),
        size: kept.size(),
        evidence: ["sync_rep_waiters", "standbys", "synchronous_standby_names"]
            .map(|field| sample(index, field))
            .to_vec(),
    })
}

/// Who would have to stream, and what is known of them.
fn missing(
    evidence: &Evidence<'_>,
    interval: &SampleInterval<'_>,
    awaited: &Awaited<'_>,
) -> String {
    if !awaited.joining.is_empty() {
        return format!(
            "{}, which is connected and does not stream yet",
            listed(
                awaited
                    .joining
                    .iter()
                    .map(|one| with_state(interval.sample, one))
            )
        );
    }
    let others = interval.sample.standbys.iter();
    let others = others.map(|one| with_state(interval.sample, one));
    let others = match listed(others) {
        none if none.is_empty() => String::new(),
        others => format!(" (connected: {others})"),
    };
    let absent = listed(awaited.absent.iter().map(|name| text::name(name)));
    let missing = match (awaited.absent.len(), awaited.lacking) {
        (0, 1) => "a synchronous standby, and none streams under a name in that setting".to_owned(),
        (0, lacking) => format!("{lacking} more standbys than stream under a name in that setting"),
        (1, _) => format!("the standby {absent}, which is not connected"),
        (all, lacking) if all == lacking => {
            format!("the standbys {absent}, which are not connected")
        }
        (_, 1) => format!("one of the standbys {absent}, none of which is connected"),
        (_, lacking) => format!("{lacking} of the standbys {absent}, none of which is connected"),
    };
    format!("{missing}{others}{}", unheard_of(evidence, awaited))
}

/// A name that nobody ever had may be misspelt.
fn unheard_of(evidence: &Evidence<'_>, awaited: &Awaited<'_>) -> &'static str {
    let standbys = || evidence.primary_samples().flat_map(|one| &one.standbys);
    let was_there = |name: &String| {
        standbys().any(|one| {
            let called = one.application_name.as_deref();
            called.is_some_and(|called| called.eq_ignore_ascii_case(name))
        })
    };
    let anybody = standbys().next().is_some();
    if anybody && !awaited.absent.is_empty() && !awaited.absent.iter().any(was_there) {
        "; no connection had such an application_name in this run: it may be misspelt"
    } else {
        ""
    }
}

fn with_state(sample: &Sample, standby: &Standby) -> String {
    let name = label::of(sample, standby);
    let state = standby.sync_state.as_deref().or(standby.state.as_deref());
    let state = match standby.state.as_deref() {
        Some("streaming") => state,
        other => other,
    };
    match state {
        Some(state) => format!("{name} ({})", text::harmless(state, MAX_SETTING)),
        None => name,
    }
}

/// Each once, and not too many.
fn listed(names: impl Iterator<Item = String>) -> String {
    let names: BTreeSet<String> = names.collect();
    let more = names.len().saturating_sub(MAX_NAMES);
    let mut shown: Vec<String> = names.into_iter().take(MAX_NAMES).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(", ")
}
