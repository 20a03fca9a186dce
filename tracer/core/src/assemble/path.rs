//! What the report says of a path, from the readings of a socket.

use crate::clock::RunClock;
use crate::recording::tcp_info::TcpInfoSample;
use crate::report::path::{PathReport, ReadingReport};

/// `None` where nothing was read.
pub(super) fn path(readings: &[TcpInfoSample], clock: RunClock) -> Option<PathReport> {
    let srtt = || readings.iter().filter_map(|one| one.srtt_us);
    (!readings.is_empty()).then(|| PathReport {
        srtt_us_min: srtt().min(),
        srtt_us_max: srtt().max(),
        series: readings
            .iter()
            .map(|one| ReadingReport {
                time: clock.utc(one.at_ns),
                offset_s: clock.end_s(one.at_ns),
                srtt_us: one.srtt_us,
                min_rtt_us: one.min_rtt_us,
                unacked: one.unacked,
                recovering: one.recovering,
                segs_in: one.segs_in,
                last_ack_recv_ms: one
                    .heard_ns
                    .map(|heard_ns| one.at_ns.saturating_sub(heard_ns) as f64 / 1e6),
                dsack_dups: one.dsack_dups,
                rcv_ooopack: one.rcv_ooopack,
            })
            .collect(),
    })
}
