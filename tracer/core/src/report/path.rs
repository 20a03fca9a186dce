//! What the report says of the way to a peer.

use serde::{Deserialize, Serialize};

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
