//! By how much two hosts' clocks differ, as far as the data show it.

use serde::{Deserialize, Serialize};

use crate::merge::connection::{Connection, Side};
use crate::merge::exchange::ClockBounds;
use crate::merge::replication::{replications, same_boot};
use crate::merge::{MergeError, seconds};
use crate::report::Report;

/// What a close is late at the other end, at least: processors are not always free.
const LEAST_UNCERTAIN_MS: f64 = 1.0;

/// Times of people's clock are written to the microsecond.
const ROUNDED_MS: f64 = 0.001;

/// How the second host's clock relates to the first's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Offset {
    /// How that is known.
    pub method: ClockMethod,
    /// By how much the second host's clock is ahead of the first's; `null` if that is
    /// not known.
    pub offset_ms: Option<f64>,
    /// How far off that may be, either way.
    pub uncertainty_ms: Option<f64>,
    /// How many connections show it.
    pub connections: u64,
    /// How many messages and replies do that both hosts kept, of the direction of which there are
    /// fewer.
    #[serde(default)]
    pub exchanges: u64,
    /// It is at least this much ahead, by the ages of replies: none is below zero.
    pub at_least_ms: Option<f64>,
    /// It is at most this much ahead, likewise.
    pub at_most_ms: Option<f64>,
    /// What was taken for it wherever times of both hosts stand side by side.
    pub applied_ms: f64,
}

/// How an offset is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockMethod {
    /// Both ran on one kernel: there is one clock.
    SameBoot,
    /// No message and no reply of a replication arrives before it was sent.
    Exchanges,
    /// Both ends of a connection close within a round trip, or a retransmission timeout.
    ClosedConnections,
    /// Nothing shows it.
    NotKnown,
}

pub(crate) fn offset(
    reports: &[Report; 2],
    connections: &[Connection],
) -> Result<Offset, MergeError> {
    let [one, two] = reports;
    let unknown = Offset {
        method: ClockMethod::NotKnown,
        offset_ms: None,
        uncertainty_ms: None,
        connections: 0,
        exchanges: 0,
        at_least_ms: None,
        at_most_ms: None,
        applied_ms: 0.0,
    };
    if same_boot(one, two) {
        return Ok(Offset {
            method: ClockMethod::SameBoot,
            offset_ms: Some(0.0),
            uncertainty_ms: Some(0.0),
            ..unknown
        });
    }
    // The age of a reply is a primary's time less its standby's: below zero only
    // because the standby's clock is ahead.
    let at_least_ms = youngest_reply_ms(one, two).map(|age| -age);
    let at_most_ms = youngest_reply_ms(two, one);
    if let Some(shown) = by_exchanges(one, two)? {
        return Ok(Offset {
            method: ClockMethod::Exchanges,
            offset_ms: Some(shown.ahead_ms),
            uncertainty_ms: Some(shown.off_by_ms),
            exchanges: shown.exchanges,
            at_least_ms,
            at_most_ms,
            applied_ms: shown.ahead_ms,
            ..unknown
        });
    }
    let mut bounds = Vec::new();
    for connection in connections {
        let [a, b] = &connection.sides;
        let calm = |side: &Side| side.fin == 0 && side.backoff_max.unwrap_or(0) == 0;
        if let (Some(first), Some(second), true, true) = (&a.closed, &b.closed, calm(a), calm(b)) {
            let late_ms = late_ms(a).max(late_ms(b)).max(LEAST_UNCERTAIN_MS);
            bounds.push(ClosedTogether {
                ahead_ms: (seconds(second)? - seconds(first)?) * 1e3,
                uncertain_ms: late_ms,
            });
        }
    }
    let surest = bounds
        .iter()
        .min_by(|a, b| a.uncertain_ms.total_cmp(&b.uncertain_ms));
    let Some(surest) = surest else {
        return Ok(Offset {
            at_least_ms,
            at_most_ms,
            ..unknown
        });
    };
    // What no reply could have been has not been.
    let bounded_ms = surest
        .ahead_ms
        .max(at_least_ms.unwrap_or(f64::NEG_INFINITY))
        .min(at_most_ms.unwrap_or(f64::INFINITY));
    // It is as uncertain as its own, and as far off as others say that it is.
    let uncertain_ms = bounds
        .iter()
        .map(|one| (one.ahead_ms - surest.ahead_ms).abs() - one.uncertain_ms)
        .fold(surest.uncertain_ms, f64::max)
        + (bounded_ms - surest.ahead_ms).abs();
    Ok(Offset {
        method: ClockMethod::ClosedConnections,
        offset_ms: Some(bounded_ms),
        uncertainty_ms: Some(uncertain_ms),
        connections: bounds.len() as u64,
        exchanges: 0,
        at_least_ms,
        at_most_ms,
        applied_ms: bounded_ms,
    })
}

/// What the messages and replies of a replication show of the offset.
struct ShownByExchanges {
    ahead_ms: f64,
    off_by_ms: f64,
    exchanges: u64,
}

/// Of that replication whose exchanges show it best, whichever of the two is its primary.
fn by_exchanges(one: &Report, two: &Report) -> Result<Option<ShownByExchanges>, MergeError> {
    let starts_ns = one.clock.start_ns.zip(two.clock.start_ns);
    let Some((one_ns, two_ns)) = starts_ns else {
        return Ok(None);
    };
    // What the two clocks of one host, that of people and that of the kernel, differ by.
    let people_ms = (seconds(&two.window.start)? - seconds(&one.window.start)?) * 1e3;
    let kernel_ms = (two_ns as f64 - one_ns as f64) / 1e6;
    let shown = |bounds: ClockBounds, sign: f64| {
        let (from_ns, to_ns) = bounds.span();
        let middle = bounds.at(u64::midpoint(from_ns, to_ns));
        let ahead_ns = middle.middle_ns();
        // At either end the clocks have drifted.
        let ends = [from_ns, to_ns].map(|at_ns| bounds.at(at_ns));
        let off = ends.into_iter().chain([middle]).map(|one| {
            let (least, most) = (one.least_ns - ahead_ns, one.most_ns - ahead_ns);
            least.abs().max(most.abs())
        });
        ShownByExchanges {
            ahead_ms: sign * ahead_ns / 1e6 - kernel_ms + people_ms,
            off_by_ms: off.fold(0.0, f64::max) / 1e6 + ROUNDED_MS,
            exchanges: bounds.exchanges(),
        }
    };
    let ours = replications(one, two).filter_map(|of| Some(shown(of.bounds().ok()?, 1.0)));
    let theirs = replications(two, one).filter_map(|of| Some(shown(of.bounds().ok()?, -1.0)));
    Ok(ours
        .chain(theirs)
        .min_by(|a, b| a.off_by_ms.total_cmp(&b.off_by_ms)))
}

/// What a connection of which both ends closed shows of the offset.
struct ClosedTogether {
    ahead_ms: f64,
    uncertain_ms: f64,
}

/// By how much one end may close after the other: a round trip, or a retransmission
/// timeout where the last segments were lost.
fn late_ms(side: &Side) -> f64 {
    let round_trip_ms = side.srtt_us.map_or(0.0, |us| f64::from(us) / 1e3);
    side.rto_max_ms.unwrap_or(0.0).max(round_trip_ms)
}

/// The least age of a reply that `primary` saw of a standby on the host of `standby`.
fn youngest_reply_ms(primary: &Report, standby: &Report) -> Option<f64> {
    let postgres = primary.postgres.as_ref()?;
    let here = |address: &str| {
        let mut flows = standby.flows.iter();
        flows.any(|flow| flow.local.address.to_string() == address)
    };
    let standbys = postgres.series.iter().flat_map(|one| &one.sample.standbys);
    let known = standbys.filter(|one| one.client_addr.as_deref().is_some_and(here));
    known.filter_map(|one| one.reply_age_ms).reduce(f64::min)
}
