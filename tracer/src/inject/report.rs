//! What a fault did: an element of `faults` in the report.

use serde::Serialize;

use super::{FaultKind, Percent, Sample, interval};

/// Counts since the fault began, over all CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultTotals {
    /// Segments on the wire that were for the peers.
    pub seen: u64,
    /// Those that were damaged.
    pub hit: u64,
    /// Bytes of the damaged packets, headers included.
    pub bytes: u64,
    /// Packets for the peers that are not TCP, or are fragments without a TCP
    /// header: let pass.
    pub passed: u64,
    /// Sum of the squares of the segments of each packet in `seen`.
    pub seen_squares: u64,
}

/// What was asked, done and undone. Times are ns of `CLOCK_MONOTONIC`, which
/// the caller converts with its clock; what was not measured is null.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultReport {
    /// What was done to packets.
    pub kind: FaultKind,
    /// How many of the packets were to be hit.
    pub percent: Percent,
    /// Addresses or networks, as given.
    pub peers: Vec<String>,
    /// Ports that the fault was limited to; empty for all.
    pub ports: Vec<u16>,
    /// Name of the interface.
    pub interface: String,
    /// `out`: packets that leave this host.
    pub direction: &'static str,
    /// `bpf`
    pub engine: &'static str,
    /// What was damaged.
    pub damaged: &'static str,
    /// When the first packet could be hit.
    pub started_ns: u64,
    /// When the last packet could be hit.
    pub ended_ns: u64,
    /// Segments on the wire that were for the peers.
    pub seen: Option<u64>,
    /// Those that were damaged.
    pub hit: Option<u64>,
    /// Bytes of the damaged packets, headers included.
    pub bytes: Option<u64>,
    /// Packets for the peers that this fault cannot damage.
    pub passed: Option<u64>,
    /// `hit` of `seen` in per cent; null if nothing was seen.
    pub delivered_percent: Option<f64>,
    /// The least and the most hits that chance explains (99.999 %); null if
    /// nothing was seen.
    pub expected_hits: Option<[u64; 2]>,
    /// Features of the interface that were off while the fault lasted.
    pub offloads_changed: Vec<String>,
    /// True only if the kernel confirmed that the program is gone and every
    /// feature of the interface is as it was.
    pub removed: bool,
    /// What could not be undone, with the command that does.
    pub left_behind: Option<String>,
}

impl FaultReport {
    /// Fills in what follows from the counts.
    pub(super) fn count(mut self, totals: Option<FaultTotals>) -> Self {
        let Some(totals) = totals else { return self };
        self.seen = Some(totals.seen);
        self.hit = Some(totals.hit);
        self.bytes = Some(totals.bytes);
        self.passed = Some(totals.passed);
        if totals.seen > 0 {
            self.delivered_percent = Some(100.0 * totals.hit as f64 / totals.seen as f64);
            let (least, most) = interval(self.percent, totals.seen, totals.seen_squares);
            self.expected_hits = Some([least, most]);
        }
        self
    }

    /// Whether the delivered share is further from the requested one than
    /// chance explains (99.999 %): then the counts or the fault are not to be
    /// trusted.
    pub fn is_off(&self) -> bool {
        match (self.hit, self.expected_hits) {
            (Some(hit), Some([least, most])) => hit < least || hit > most,
            _ => false,
        }
    }

    /// A sentence for the user if the fault did not do what was asked.
    pub fn warning(&self) -> Option<String> {
        let peers = self.peers.join(", ");
        if self.seen == Some(0) {
            let other = match self.passed {
                Some(passed) if passed > 0 => {
                    format!(" ({passed} packets that are not TCP passed)")
                }
                _ => String::new(),
            };
            return Some(format!(
                "the fault matched nothing: no TCP segment left by {} for {peers}{other}; check the peer, the port and the interface",
                self.interface
            ));
        }
        let (Some(percent), true) = (self.delivered_percent, self.is_off()) else {
            return None;
        };
        Some(format!(
            "the fault delivered {percent:.2}% instead of {} toward {peers}, which chance does not explain",
            self.percent
        ))
    }
}

impl FaultTotals {
    /// For the question whether this is what was asked.
    pub fn sample(&self) -> Sample {
        Sample {
            seen: self.seen,
            hit: self.hit,
            seen_squares: self.seen_squares,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(totals: Option<FaultTotals>) -> FaultReport {
        FaultReport {
            kind: FaultKind::Corrupt,
            percent: Percent::new(50.0).unwrap(),
            peers: vec!["10.0.10.2".to_owned()],
            ports: Vec::new(),
            interface: "ens160".to_owned(),
            direction: "out",
            engine: "bpf",
            damaged: "tcp checksum",
            started_ns: 1,
            ended_ns: 2,
            seen: None,
            hit: None,
            bytes: None,
            passed: None,
            delivered_percent: None,
            expected_hits: None,
            offloads_changed: Vec::new(),
            removed: true,
            left_behind: None,
        }
        .count(totals)
    }

    fn totals(seen: u64, hit: u64) -> Option<FaultTotals> {
        Some(FaultTotals {
            seen,
            hit,
            bytes: hit * 1500,
            passed: 3,
            seen_squares: seen,
        })
    }

    #[test]
    fn delivered_as_asked() {
        let report = report(totals(10_000, 5_050));
        assert_eq!(report.delivered_percent, Some(50.5));
        assert_eq!(report.expected_hits, Some([4779, 5221]));
        assert_eq!(report.warning(), None);
    }

    #[test]
    fn beyond_chance_is_said() {
        let warning = report(totals(10_000, 2_500)).warning().unwrap();
        assert!(warning.contains("25.00% instead of 50%"), "{warning}");
    }

    #[test]
    fn nothing_matched_is_said_and_null() {
        let report = report(totals(0, 0));
        let warning = report.warning().unwrap();
        assert!(
            warning.contains("no TCP segment left by ens160"),
            "{warning}"
        );
        assert!(warning.contains("3 packets that are not TCP"), "{warning}");
        let json = serde_json::to_value(&report).unwrap();
        assert!(json["delivered_percent"].is_null());
        assert_eq!(json["seen"], 0);
        assert_eq!(json["kind"], "corrupt");
        assert_eq!(json["percent"], 50.0);
    }

    #[test]
    fn not_measured_is_null_not_zero() {
        let json = serde_json::to_value(report(None)).unwrap();
        assert!(json["seen"].is_null() && json["hit"].is_null());
    }
}
