//! The commit probe in a line or two.

use crate::recording::latency::LatencyInterval;
use crate::render::table::milliseconds;
use crate::report::latency_probe::{ProbeReport, Requests};

/// What is in flight for so long is shown.
const LONG_MS: f64 = 100.0;

/// The last interval in one line.
#[must_use]
pub fn line(commits: &LatencyInterval, reads: &LatencyInterval) -> String {
    let mut line = format!(
        "  probe: {} commits, p50 {}, max {}; {} reads, p50 {}, max {}",
        commits.answered,
        milliseconds(commits.latency.p50_ms),
        milliseconds(commits.latency.max_ms),
        reads.answered,
        milliseconds(reads.latency.p50_ms),
        milliseconds(reads.latency.max_ms),
    );
    if let (outstanding @ 1.., Some(oldest)) = (commits.outstanding, commits.oldest_ms)
        && oldest >= LONG_MS
    {
        line += &format!(
            "; {outstanding} commits in flight, since {}",
            milliseconds(Some(oldest))
        );
    }
    for (count, what) in [
        (commits.failed, "commits failed"),
        (commits.not_started, "commits not started"),
        (reads.failed, "reads failed"),
        (reads.not_started, "reads not started"),
    ] {
        if count > 0 {
            line += &format!("; {count} {what}");
        }
    }
    line
}

pub(crate) fn summary(probe: &ProbeReport) -> [String; 2] {
    let words = |what: &str, requests: &Requests| {
        let [p50, p95, p99, max] = requests.latency.each().map(milliseconds);
        format!(
            "  {what}: {} answered, {} failed, {} not started, {} in flight at the end; p50 {p50}, p95 {p95}, p99 {p99}, max {max}",
            requests.answered, requests.failed, requests.not_started, requests.outstanding,
        )
    };
    [
        words("probe's commits", &probe.commits),
        words("probe's reads  ", &probe.reads),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::latency::Latencies;
    use crate::report::quantiles::Quantiles;

    fn step() -> LatencyInterval {
        LatencyInterval {
            at_ns: 0,
            answered: 10,
            failed: 0,
            not_started: 0,
            outstanding: 0,
            oldest_ms: None,
            latency: Quantiles {
                p50_ms: Some(2.0),
                p95_ms: Some(3.0),
                p99_ms: Some(4.0),
                max_ms: Some(9.0),
            },
            latencies: Latencies::default(),
        }
    }

    #[test]
    fn a_line_has_what_is_the_matter_and_nothing_else() {
        assert_eq!(
            line(&step(), &step()),
            "  probe: 10 commits, p50 2.00 ms, max 9.00 ms; 10 reads, p50 2.00 ms, max 9.00 ms"
        );
        let stalled = LatencyInterval {
            answered: 0,
            outstanding: 3,
            oldest_ms: Some(1_500.0),
            not_started: 7,
            latency: Quantiles::default(),
            ..step()
        };
        assert_eq!(
            line(&stalled, &step()),
            "  probe: 0 commits, p50 -, max -; 10 reads, p50 2.00 ms, max 9.00 ms; \
             3 commits in flight, since 1500 ms; 7 commits not started"
        );
    }
}
