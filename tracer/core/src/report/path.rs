//! What the report says of the path to a peer.

use serde::{Deserialize, Serialize};

/// The path of a flow of the replication, as its socket showed it in every sample.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PathReport {
    /// The least of the smoothed round-trip times.
    pub srtt_us_min: Option<u32>,
    /// The largest.
    pub srtt_us_max: Option<u32>,
    /// What was read, sample by sample.
    pub series: Vec<ReadingReport>,
}

/// What the socket showed in one sample.
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
    /// Segments in flight.
    pub unacked: Option<u32>,
    /// Whether the kernel was recovering from a loss, and not done.
    pub recovering: Option<bool>,
    /// Segments that have arrived since the connection was opened.
    pub segs_in: Option<u32>,
    /// Since the last segment arrived that acknowledged anything, ms.
    #[serde(default)]
    pub last_ack_recv_ms: Option<f64>,
    /// Segments since then that were retransmitted though the peer had them, as it said
    /// (DSACK): what had acknowledged them was lost.
    pub dsack_dups: Option<u32>,
    /// Segments since then that arrived while one before them was missing: it was lost
    /// on the way here, or overtaken.
    pub rcv_ooopack: Option<u32>,
}
