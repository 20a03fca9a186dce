//! What the report says of the way to a peer.

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::recording::tcp_info::Reading;

/// The way of a flow of the replication, as its socket told of it at every look.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PathReport {
    /// The least of the smoothed round-trip times.
    pub srtt_us_min: Option<u32>,
    /// The largest.
    pub srtt_us_max: Option<u32>,
    /// What was told, look by look.
    pub series: Vec<ReadingReport>,
}

/// What the socket told at one look.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadingReport {
    /// When.
    pub time: String,
    /// When, from the start of the window.
    pub offset_s: f64,
    /// Smoothed round-trip time; it stands still while nothing is acknowledged.
    pub srtt_us: Option<u32>,
    /// The least round-trip time of the last minutes.
    pub min_rtt_us: Option<u32>,
    /// Segments under way.
    pub unacked: Option<u32>,
    /// Whether the kernel was mending a loss, and not done.
    pub recovering: Option<bool>,
    /// Segments that have arrived since the connection was opened.
    pub segs_in: Option<u32>,
    /// Segments since then that were sent again though the peer had them, as it said
    /// (DSACK): what had acknowledged them was lost.
    pub dsack_dups: Option<u32>,
    /// Segments since then that arrived while one before them was missing: it was lost
    /// on the way here, or overtaken.
    pub rcv_ooopack: Option<u32>,
}

impl PathReport {
    /// By the clock and from the start of the run; `None` where nothing was told.
    #[must_use]
    pub fn new(readings: &[Reading], clock: &Clock, start_ns: u64) -> Option<Self> {
        let srtt = || readings.iter().filter_map(|one| one.srtt_us);
        (!readings.is_empty()).then(|| Self {
            srtt_us_min: srtt().min(),
            srtt_us_max: srtt().max(),
            series: readings
                .iter()
                .map(|one| ReadingReport {
                    time: clock.utc(one.at_ns),
                    offset_s: one.at_ns.saturating_sub(start_ns) as f64 / 1e9,
                    srtt_us: one.srtt_us,
                    min_rtt_us: one.min_rtt_us,
                    unacked: one.unacked,
                    recovering: one.recovering,
                    segs_in: one.segs_in,
                    dsack_dups: one.dsack_dups,
                    rcv_ooopack: one.rcv_ooopack,
                })
                .collect(),
        })
    }
}
