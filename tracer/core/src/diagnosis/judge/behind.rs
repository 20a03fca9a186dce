//! A standby that replies, and late: because of its disk, of what it applies, or of the
//! length of the way.

use crate::diagnosis::judge::standby::{size, waiters};
use crate::diagnosis::judge::why::longest_silence;
use crate::diagnosis::judge::{Case, LEAST_SHARE, Weighed, by_share, lasted, sample};
use crate::evidence::blocked::Slice;
use crate::evidence::links::awaited;
use crate::evidence::rtt;
use crate::recording::roles::Kind;
use crate::recording::standby::label;
use crate::report::finding::{Cause, Confidence, Finding, Size};
use crate::report::sample::Standby;
use crate::text;

/// It has what it should bring to its disk.
pub(crate) fn flush(slices: &[Slice<'_>], all_s: f64) -> Option<Weighed> {
    let missing = |one: &Standby| Some(one.flush_lag_bytes? - one.write_lag_bytes?);
    own(
        slices,
        all_s,
        missing,
        Own {
            cause: Cause::StandbyFlush,
            what: "had received the log and was slow to bring it to its disk",
            left: "written and not flushed",
            fields: ["write_lag_bytes", "flush_lag_bytes"],
        },
    )
}

/// It has what it should apply.
pub(crate) fn apply(slices: &[Slice<'_>], all_s: f64) -> Option<Weighed> {
    let missing = |one: &Standby| Some(one.replay_lag_bytes? - one.flush_lag_bytes?);
    own(
        slices,
        all_s,
        missing,
        Own {
            cause: Cause::StandbyApply,
            what: "had the log on its disk and was slow to apply it, as commits with synchronous_commit = remote_apply wait for",
            left: "flushed and not applied",
            fields: ["flush_lag_bytes", "replay_lag_bytes"],
        },
    )
}

/// What sets one of these two apart from the other.
#[derive(Clone, Copy)]
struct Own {
    cause: Cause,
    what: &'static str,
    left: &'static str,
    fields: [&'static str; 2],
}

fn own(
    slices: &[Slice<'_>],
    all_s: f64,
    missing: fn(&Standby) -> Option<i64>,
    own: Own,
) -> Option<Weighed> {
    let size_of_all = size(slices, all_s);
    let waited = size_of_all.waited_s.unwrap_or(0.0);
    let share = waited / all_s;
    if share < LEAST_SHARE || !lasted(slices) {
        return None;
    }
    let of_slice = |slice: &Slice<'_>| {
        let standbys = awaited(slice.sample).into_iter();
        standbys.filter_map(missing).max()
    };
    let (most, worst) = slices
        .iter()
        .filter_map(|slice| Some((of_slice(slice)?, slice)))
        .max_by_key(|(bytes, _)| *bytes)?;
    let standby = awaited(worst.sample)
        .into_iter()
        .find(|one| missing(one) == Some(most))?;
    let standbys = worst.sample.standbys.iter();
    let place = standbys.clone().position(|one| one == standby)?;
    let finding = Finding {
        text: format!(
            "Commits waited for the standby {}, which {}: up to {} were {}; {:.0} % of the waiting fell into that time.",
            label::of(worst.sample, standby),
            own.what,
            text::bytes(most),
            own.left,
            100.0 * share
        ),
        cause: own.cause,
        confidence: by_share(share),
        size: Size {
            lag_bytes: Some(most),
            ..size_of_all
        },
        evidence: own
            .fields
            .map(|field| sample(worst.index, &format!("standbys/{place}/{field}")))
            .into_iter()
            .chain(waiters(slices))
            .collect(),
    };
    Some((waited, finding))
}

/// The primary says that it sent, and nothing arrives here.
pub(crate) fn unheard(case: &Case<'_>, slices: &[Slice<'_>], all_s: f64) -> Option<Weighed> {
    let size_of_all = size(slices, all_s);
    let waited = size_of_all.waited_s.unwrap_or(0.0);
    let share = waited / all_s;
    if share < LEAST_SHARE || !lasted(slices) {
        return None;
    }
    let index = of_role(case, slices, Kind::Walreceiver)?;
    let name = text::name(&case.recorded.flows.get(index)?.name);
    let finding = Finding {
        text: format!(
            "Commits waited for the standby while nothing of what the primary says that it sent arrived here from {name}: it is lost on the way, or waits at the primary, on whose host that is seen; {:.0} % of the waiting fell into that time.",
            100.0 * share
        ),
        cause: Cause::LossTowardStandby,
        confidence: by_share(share).min(Confidence::Medium),
        size: size_of_all,
        evidence: std::iter::once(format!("/flows/{index}/path/series"))
            .chain(waiters(slices))
            .collect(),
    };
    Some((waited, finding))
}

/// The flow of this role that is the way of who was waited for.
fn of_role(case: &Case<'_>, slices: &[Slice<'_>], role: Kind) -> Option<usize> {
    let mut serving = case.serving(slices);
    serving.find(|flow| {
        let track = case.recorded.flows.get(*flow);
        track.is_some_and(|track| track.role == role)
    })
}

/// It replied, and what arrived could not be read.
pub(crate) fn unread(case: &Case<'_>, slices: &[Slice<'_>], all_s: f64) -> Option<Weighed> {
    let size_of_all = size(slices, all_s);
    let waited = size_of_all.waited_s.unwrap_or(0.0);
    let share = waited / all_s;
    if share < LEAST_SHARE || !lasted(slices) {
        return None;
    }
    let silent_s = longest_silence(slices);
    let index = of_role(case, slices, Kind::Walsender)?;
    let name = text::name(&case.recorded.flows.get(index)?.name);
    let finding = Finding {
        text: format!(
            "Commits waited for the standby {name}, which replied: for up to {silent_s:.1} s what arrived of its replies could not be read, because something sent before it was missing: that was lost on the way here, or comes very late; {:.0} % of the waiting fell into that time.",
            100.0 * share
        ),
        cause: Cause::LossOfReplies,
        confidence: by_share(share).min(Confidence::Medium),
        size: Size {
            silent_s: Some(silent_s),
            ..size_of_all
        },
        evidence: std::iter::once(format!("/flows/{index}/path/series"))
            .chain(waiters(slices))
            .collect(),
    };
    Some((waited, finding))
}

/// A round trip takes a good part of what a commit takes.
pub(crate) fn far(case: &Case<'_>, slices: &[Slice<'_>], all_s: f64) -> Option<Weighed> {
    let size_of_all = size(slices, all_s);
    let waited = size_of_all.waited_s.unwrap_or(0.0);
    let share = waited / all_s;
    if share < LEAST_SHARE || !lasted(slices) {
        return None;
    }
    let long = slices
        .iter()
        .filter_map(|slice| rtt::long(case.recorded, slice.span, |flow| case.serves(flow, slice)));
    let (index, ms) = long.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let track = case.recorded.flows.get(index)?;
    let best = rtt::best_ms(track);
    let before = best.map_or_else(String::new, |ms| {
        format!(" (the best of this run took {ms:.1} ms)")
    });
    let finding = Finding {
        text: format!(
            "Commits waited for the standby because the way to {} is long: a round trip took up to {ms:.0} ms{before}, and little or nothing was lost; {:.0} % of the waiting fell into that time.",
            text::name(&track.name),
            100.0 * share
        ),
        cause: Cause::NetworkDelay,
        // Without a probe it is not known how much of a commit that is.
        confidence: match case.recorded.probe() {
            Some(_) => by_share(share),
            None => by_share(share).min(Confidence::Medium),
        },
        size: Size {
            round_trip_ms: Some(ms),
            ..size_of_all
        },
        evidence: ["path/series", "path/srtt_us_max", "path/srtt_us_min"]
            .map(|field| format!("/flows/{index}/{field}"))
            .into_iter()
            .chain(waiters(slices))
            .collect(),
    };
    Some((waited, finding))
}
