//! How long round trips of the replication took.

use crate::evidence::blocked::typical_ms;
use crate::evidence::thresholds::{
    DOMINANT_RTT_SHARE, MIN_RTT_FACTOR, MIN_RTT_MS, MIN_RTT_SHARE, MIN_SAMPLES,
};
use crate::interval::Span;
use crate::recording::Recording;
use crate::recording::flow_history::FlowHistory;
use crate::report::role::Kind;

/// The longest smoothed round-trip time of a flow in a span, ms.
pub(crate) fn within_ms(track: &FlowHistory, span: Span) -> Option<f64> {
    let inside = track.path.iter().filter(|one| span.has(one.at_ns));
    let us = inside.filter_map(|one| one.srtt_us).max()?;
    Some(f64::from(us) / 1e3)
}

/// The least round-trip time that a flow was seen to have, ms.
pub(crate) fn best_ms(track: &FlowHistory) -> Option<f64> {
    let of = track.path.iter();
    let us = of
        .flat_map(|one| [one.min_rtt_us, one.srtt_us])
        .flatten()
        .min()?;
    Some(f64::from(us) / 1e3)
}

/// The flow of the replication with the longest round trips at that time, and how long
/// they took, ms; of flows that count, by their numbers.
fn longest(
    recorded: &Recording,
    span: Span,
    counts: impl Fn(usize) -> bool,
) -> Option<(usize, &FlowHistory, f64)> {
    let flows = recorded.flows.iter().enumerate();
    let replicate = flows.filter(|(index, track)| track.is_replication() && counts(*index));
    replicate
        .filter_map(|(index, track)| Some((index, track, within_ms(track, span)?)))
        .max_by(|(.., a), (.., b)| a.total_cmp(b))
}

/// The flow of the replication whose round trips took so long at that time that they
/// are a good part of what commits took, and how long, ms; of flows that count.
pub(crate) fn long(
    recorded: &Recording,
    span: Span,
    counts: impl Fn(usize) -> bool,
) -> Option<(usize, f64)> {
    let (index, track, ms) = longest(recorded, span, counts)?;
    let least = match typical_ms(recorded, span) {
        Some(ms) => MIN_RTT_SHARE * ms,
        None => MIN_RTT_FACTOR * best_ms(track)?,
    };
    (ms >= MIN_RTT_MS && ms >= least).then_some((index, ms))
}

/// Whether round trips of flows that count were most of what commits took at that time.
pub(crate) fn dominates(recorded: &Recording, span: Span, counts: impl Fn(usize) -> bool) -> bool {
    let took_ms = longest(recorded, span, counts).map(|(.., ms)| ms);
    let both = took_ms.zip(typical_ms(recorded, span));
    both.is_some_and(|(way_ms, commit_ms)| {
        way_ms >= MIN_RTT_MS && way_ms >= DOMINANT_RTT_SHARE * commit_ms
    })
}

/// Whether a reading at that time showed segments that were sent and not acknowledged, where
/// this is the primary's host: what waits for room at the other end is not sent. Of flows
/// that count.
pub(crate) fn is_in_flight(
    recorded: &Recording,
    span: Span,
    counts: impl Fn(usize) -> bool,
) -> bool {
    let flows = recorded.flows.iter().enumerate();
    let mut ours = flows.filter(|(index, track)| track.kind() == Kind::Walsender && counts(*index));
    ours.any(|(_, track)| {
        let mut inside = track.path.iter().filter(|one| span.has(one.at_ns));
        inside.any(|one| one.unacked > Some(0))
    })
}

/// A wait, and the time until somebody looked after it, if not within it.
pub(crate) fn until_next_reading(recorded: &Recording, wait: Span) -> Span {
    Span {
        to_ns: wait.to_ns + recorded.interval_ns(),
        ..wait
    }
}

/// The same for a single wait, of which they are a good part.
pub(crate) fn long_during(recorded: &Recording, wait: Span) -> Option<(usize, f64)> {
    let seen = until_next_reading(recorded, wait);
    let (index, _, ms) = longest(recorded, seen, |_| true)?;
    (ms >= MIN_RTT_MS && ms >= MIN_RTT_SHARE * wait.seconds() * 1e3).then_some((index, ms))
}

/// Whether replies of the standby arrived at that time while one before them was missing,
/// where this is the primary's host: what comes behind a gap is nothing that the server
/// could have read. Of flows that count.
pub(crate) fn overtaken(recorded: &Recording, span: Span, counts: impl Fn(usize) -> bool) -> bool {
    let flows = recorded.flows.iter().enumerate();
    let mut ours = flows.filter(|(index, track)| track.kind() == Kind::Walsender && counts(*index));
    ours.any(|(_, track)| {
        let mut pairs = track.path.windows(2);
        pairs.any(|two| two[1].rcv_ooopack > two[0].rcv_ooopack && span.has(two[1].at_ns))
    })
}

/// Whether replies arrive out of order on a flow, by its number, outside these spans as well, which
/// are in order and apart: on a path that reorders what it carries, a gap does not tell why
/// commits were slow.
pub(crate) fn is_overtaken_anyway(recorded: &Recording, flow: usize, spans: &[Span]) -> bool {
    let path = recorded.flows.get(flow).map(|track| track.path.as_slice());
    let pairs = path.unwrap_or_default().windows(2);
    let outside = pairs.filter(|two| {
        let between = Span {
            from_ns: two[0].at_ns,
            to_ns: two[1].at_ns,
        };
        between.covered_ns(spans) == 0
    });
    let (grown, all) = outside.fold((0, 0), |(grown, all), two| {
        let has_gap = two[1].rcv_ooopack > two[0].rcv_ooopack;
        (grown + usize::from(has_gap), all + 1)
    });
    grown >= MIN_SAMPLES && 2 * grown >= all
}

/// Whether any WAL arrived at that time, where this is the standby's host and
/// not the primary's; `None` where that is not seen. Of flows that count.
pub(crate) fn arrives(
    recorded: &Recording,
    span: Span,
    counts: impl Fn(usize) -> bool,
) -> Option<bool> {
    let flows = || recorded.flows.iter().enumerate();
    if flows().any(|(_, track)| track.kind() == Kind::Walsender) {
        return None;
    }
    let ours = flows().filter(|(index, track)| track.kind() == Kind::Walreceiver && counts(*index));
    let arrived = ours.filter_map(|(_, track)| {
        let before = track.path.iter().rfind(|one| one.at_ns <= span.from_ns)?;
        let after = track.path.iter().find(|one| one.at_ns >= span.to_ns)?;
        Some(after.segs_in? > before.segs_in?)
    });
    arrived.reduce(|a, b| a || b)
}
