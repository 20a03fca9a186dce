//! Backends that wait for a synchronous standby: is it there, does it reply, and does
//! the network between lose anything?

use crate::diagnosis::judge::clue::{Clue, clues};
use crate::diagnosis::judge::why::{Why, is_silent, longest_silence, whys};
use crate::diagnosis::judge::{
    Case, LEAST_SHARE, Weighed, behind, by_share, cut, duration_s, gone, lasted, most, sample,
    starved,
};
use crate::evidence::blocked::{Slice, Sort, waited_s};
use crate::evidence::links::{Link, awaited};
use crate::evidence::loss_episode::lost;
use crate::evidence::rtt;
use crate::recording::roles::Kind;
use crate::recording::standby::label;
use crate::report::finding::{Cause, Confidence, Finding, Size};

/// What is left over is worth a finding only if it is most, ...
const MOST: f64 = 0.5;
/// ... and comes behind what is known, unless that is little.
const UNKNOWN: f64 = 0.25;

/// A reply that is lost is sent again, ever later: what is silent for longer has sent
/// five in vain, or none.
const SURELY_S: f64 = 4.0;

pub(crate) fn judge(case: &Case<'_>) -> Vec<Weighed> {
    let held = case.held(Sort::SyncRep);
    let mut clues = clues(case.recorded);
    let alone = whys(case, held, &clues);
    // Of two replies, "written" may have come, and "flushed" been lost.
    let follows = |index: usize| {
        let by_itself = matches!(alone[index], Why::Silent | Why::Flush | Why::Apply);
        by_itself && is_silent(&held[index])
    };
    let unread = |index: usize| alone[index] == Why::Unread;
    for clue in &mut clues {
        clue.follow(case, held, follows, unread);
    }
    let whys = whys(case, held, &clues);
    let mut found: Vec<Weighed> = starved::judge(case, &whys).into_iter().collect();
    let all_s = waited_s(held.iter(), Sort::SyncRep);
    if !lasted(held) || all_s <= 0.0 {
        return found;
    }
    let parted = |why| -> Vec<Slice<'_>> {
        let pairs = held.iter().zip(&whys);
        let ours = pairs.filter(|(_, one)| **one == why);
        ours.map(|(slice, _)| *slice).collect()
    };
    found.extend(network(case, &clues, all_s));
    found.extend(gone::judge(case, &parted(Why::Gone), all_s));
    found.extend(silent(case, &parted(Why::Silent), all_s));
    found.extend(behind::unread(case, &parted(Why::Unread), all_s));
    found.extend(behind::unheard(case, &parted(Why::Unheard), all_s));
    found.extend(behind::flush(&parted(Why::Flush), all_s));
    found.extend(behind::apply(&parted(Why::Apply), all_s));
    found.extend(behind::far(case, &parted(Why::Far), all_s));
    found.extend(rest(case, &parted(Why::Rest), all_s));
    found
}

/// What all findings on waits for a standby have in common.
pub(crate) fn size(slices: &[Slice<'_>], all_s: f64) -> Size {
    let waited = waited_s(slices.iter(), Sort::SyncRep);
    Size {
        duration_s: Some(duration_s(slices.iter())),
        waited_s: Some(waited),
        waiters_max: most(slices.iter(), Sort::SyncRep).map(|(_, waiters)| waiters),
        explained_percent: Some(100.0 * waited / all_s),
        ..Size::default()
    }
}

pub(crate) fn waiters(slices: &[Slice<'_>]) -> Option<String> {
    let (index, _) = most(slices.iter(), Sort::SyncRep)?;
    Some(sample(index, "sync_rep_waiters"))
}

fn network(case: &Case<'_>, clues: &[Clue], all_s: f64) -> Vec<Weighed> {
    let mut found: Vec<Weighed> = Vec::new();
    for clue in clues {
        let same = clues.iter().filter(|other| other.is_akin(clue));
        let first = same.map(|other| other.segments).max().unwrap_or(0);
        // The other direction has a few, too: what is lost takes acknowledgements with it.
        if clue.segments * 4 < first {
            continue;
        }
        let held = case.held(Sort::SyncRep).iter();
        let at = |slice: &&Slice<'_>| clue.covers(case, slice);
        let slices: Vec<Slice<'_>> = held.filter(at).copied().collect();
        let size = size(&slices, all_s);
        let waited = size.waited_s.unwrap_or(0.0);
        let share = waited / all_s;
        if share < LEAST_SHARE {
            continue;
        }
        let of_clue = clue.size(case.recorded);
        // Between equals, what was seen more often comes first.
        let weight = waited * (1.0 - 0.01 * found.len() as f64);
        if let Some(finding) = cut::judge(case.recorded, clue, &slices, share, size) {
            found.push((weight, finding));
            continue;
        }
        // A way that was cut looks the same as long as little is sent again.
        let maybe_cut = cut::may_be_cut(case.recorded, clue, &slices);
        let doubt = maybe_cut.map_or_else(String::new, |silent_s| {
            format!(
                ". Nothing at all arrived from there for {silent_s:.1} s: the way may have been cut"
            )
        });
        let is_theirs = slices
            .iter()
            .any(|slice| clue.link(case, slice) == Link::Theirs);
        let surely = clue.most(by_share(share));
        found.push((
            weight,
            Finding {
                text: format!(
                    "Commits waited for the standby while the network failed it: {}; {:.0} % of the waiting fell into that time{doubt}.",
                    clue.what(),
                    100.0 * share
                ),
                cause: clue.cause,
                confidence: match (is_theirs, maybe_cut) {
                    // Of several standbys, it may be another's.
                    (false, _) => Confidence::Low,
                    (true, Some(_)) => surely.min(Confidence::Medium),
                    (true, None) => surely,
                },
                size: Size {
                    segments: of_clue.segments,
                    rto_doublings: of_clue.rto_doublings,
                    rto_max_ms: of_clue.rto_max_ms,
                    ..size
                },
                evidence: clue.evidence().into_iter().chain(waiters(&slices)).collect(),
            },
        ));
    }
    found
}

fn silent(case: &Case<'_>, slices: &[Slice<'_>], all_s: f64) -> Option<Weighed> {
    let silent_s = longest_silence(slices);
    let size = Size {
        silent_s: Some(silent_s),
        ..size(slices, all_s)
    };
    let waited = size.waited_s.unwrap_or(0.0);
    let share = waited / all_s;
    if share < LEAST_SHARE {
        return None;
    }
    let oldest = |slice: &&Slice<'_>| {
        let ages = awaited(slice.sample).into_iter();
        ages.filter_map(|one| one.reply_age_ms).fold(0.0, f64::max)
    };
    let worst = slices
        .iter()
        .max_by(|a, b| oldest(a).total_cmp(&oldest(b)))?;
    let standby = awaited(worst.sample).into_iter().next()?;
    let place = worst
        .sample
        .standbys
        .iter()
        .position(|one| one == standby)?;
    let (network, confidence) = match resent(case, slices) {
        Some(0) if silent_s >= SURELY_S => (
            "nothing was sent again meanwhile, so that it is not the network".to_owned(),
            by_share(share),
        ),
        Some(0) => (
            "nothing was sent again meanwhile from here".to_owned(),
            by_share(share).min(Confidence::Medium),
        ),
        Some(segments) => (
            format!("what was sent again meanwhile ({segments}) is too little to explain it"),
            by_share(share).min(Confidence::Medium),
        ),
        None => (
            "whether anything was lost on the way to it was not seen, so that the network is not excluded".to_owned(),
            Confidence::Low,
        ),
    };
    let mut evidence = vec![
        sample(worst.index, &format!("standbys/{place}/reply_age_ms")),
        sample(worst.index, &format!("standbys/{place}/state")),
    ];
    evidence.extend(waiters(slices));
    evidence.extend(replication(case, slices));
    let finding = Finding {
        text: format!(
            "The standby {} is connected and did not reply for {silent_s:.1} s while commits waited for it; {network}.",
            label::of(worst.sample, standby)
        ),
        cause: Cause::StandbyNotReplying,
        confidence,
        size,
        evidence,
    };
    Some((waited, finding))
}

/// Segments of the replication that were sent again at that time because of a loss;
/// `None` if its flow was not traced.
fn resent(case: &Case<'_>, slices: &[Slice<'_>]) -> Option<u64> {
    // What the primary sends again is seen on its own host; here, whether it arrives.
    let arrives = |slice: &Slice<'_>| {
        rtt::arrives(case.recorded, slice.span, |flow| case.serves(flow, slice))
    };
    let ours = || {
        let serving = case.serving(slices);
        serving.filter_map(|flow| case.recorded.flows.get(flow))
    };
    let is_here = ours().any(|track| track.role == Kind::Walsender);
    if !is_here && !slices.iter().any(|slice| arrives(slice) == Some(true)) {
        return None;
    }
    let steps = ours().flat_map(|track| track.series).filter(|step| {
        let next = slices.partition_point(|slice| slice.span.to_ns < step.at_ns);
        let slice = slices.get(next);
        slice.is_some_and(|slice| slice.span.has(step.at_ns))
    });
    Some(steps.map(lost).sum())
}

fn replication(case: &Case<'_>, slices: &[Slice<'_>]) -> Vec<String> {
    let ours = case.serving(slices);
    ours.map(|flow| format!("/flows/{flow}/segments")).collect()
}

fn rest(case: &Case<'_>, slices: &[Slice<'_>], all_s: f64) -> Option<Weighed> {
    let size = size(slices, all_s);
    let waited = size.waited_s.unwrap_or(0.0);
    if waited / all_s < MOST || !lasted(slices) {
        return None;
    }
    let why = if case.serving(slices).next().is_some() {
        "it replied, nothing was sent again meanwhile, round trips were short, and no sample shows it behind with what it had received"
    } else {
        "it replied, but its connection was not among those that were traced"
    };
    let finding = Finding {
        text: format!("Commits waited for the standby, and the data do not tell why: {why}."),
        cause: Cause::NotDetermined,
        confidence: Confidence::Low,
        size,
        evidence: waiters(slices)
            .into_iter()
            .chain(replication(case, slices))
            .collect(),
    };
    Some((UNKNOWN * waited, finding))
}
