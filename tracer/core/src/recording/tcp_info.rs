//! The path to a peer, as a flow's own socket shows it sample by sample: how long a round
//! trip takes, and whether anything arrives. Retransmits show neither.

use crate::recording::thinning::thin;

/// The most readings that are kept: beyond, every second one goes and only every
/// second one comes.
const MAX_READINGS: usize = 20_000;

/// What the socket said in one sample; `None` is what this kernel does not show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TcpInfoSample {
    /// When, ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// Smoothed round-trip time, µs; it stands still while nothing is acknowledged.
    pub srtt_us: Option<u32>,
    /// The least one of the last minutes, µs.
    pub min_rtt_us: Option<u32>,
    /// Segments in flight.
    pub unacked: Option<u32>,
    /// Whether the kernel was recovering from a loss: what it retransmitted because of one was not
    /// acknowledged yet.
    pub recovering: Option<bool>,
    /// Segments that have arrived so far: of no use but to see them grow.
    pub segs_in: Option<u32>,
    /// When the last segment arrived that acknowledged anything, ns of `CLOCK_MONOTONIC`.
    pub heard_ns: Option<u64>,
    /// Segments so far that were retransmitted spuriously: the peer had them, and what said so
    /// had been lost.
    pub dsack_dups: Option<u32>,
    /// Segments so far that arrived while one before them was missing: it was lost on the
    /// way here, or overtaken.
    pub rcv_ooopack: Option<u32>,
}

/// Readings of one flow, in order.
#[derive(Debug, Clone)]
pub struct TcpInfoSeries {
    readings: Vec<TcpInfoSample>,
    stride: u64,
    taken: u64,
}

impl Default for TcpInfoSeries {
    fn default() -> Self {
        Self {
            readings: Vec::new(),
            stride: 1,
            taken: 0,
        }
    }
}

impl TcpInfoSeries {
    /// Takes in a reading.
    pub fn add(&mut self, reading: TcpInfoSample) {
        if self.taken.is_multiple_of(self.stride) {
            self.readings.push(reading);
        }
        self.taken += 1;
        thin(&mut self.readings, &mut self.stride, MAX_READINGS);
    }

    pub(crate) fn into_readings(self) -> Vec<TcpInfoSample> {
        self.readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_keeps_fewer_of_them_and_at_even_distances() {
        let mut path = TcpInfoSeries::default();
        for at_ns in 0..3 * MAX_READINGS as u64 {
            path.add(TcpInfoSample {
                at_ns,
                ..TcpInfoSample::default()
            });
        }
        assert!(path.readings.len() <= MAX_READINGS + 1);
        let apart = |two: &[TcpInfoSample]| two[1].at_ns - two[0].at_ns;
        assert!(path.readings.windows(2).all(|two| apart(two) == 4));
    }
}
