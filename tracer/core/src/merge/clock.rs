//! By how much two hosts' clocks differ, as far as the data show it.

use serde::{Deserialize, Serialize};

use crate::merge::connection::{Connection, Side};
use crate::merge::{MergeError, seconds};
use crate::report::Report;

/// What a close is late at the other end, at least: processors are not always free.
const LEAST_UNCERTAIN_MS: f64 = 1.0;

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
        at_least_ms: None,
        at_most_ms: None,
        applied_ms: 0.0,
    };
    if one.host.boot_id.is_some() && one.host.boot_id == two.host.boot_id {
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
        at_least_ms,
        at_most_ms,
        applied_ms: bounded_ms,
    })
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
