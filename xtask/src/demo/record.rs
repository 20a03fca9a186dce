//! What the client saw: every request, and figures for each phase.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::phase::{Phase, Phases, rfc3339};
use crate::load::Request;
use crate::quantile::quantile;

/// One kind of request, with all that were made.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) name: &'static str,
    sql: &'static str,
    rate: f64,
    connections: u32,
    requests: Vec<Request>,
}

/// The figures of one phase. Latencies are of the requests due in it that
/// succeeded.
#[derive(Debug, PartialEq)]
pub(super) struct Figures {
    /// Successful answers that came within the phase, a second.
    pub(super) per_second: f64,
    pub(super) failed: usize,
    /// From when a request was due: what a user of the database waits.
    pub(super) due: Latency,
    /// From when it was sent: what the database takes.
    pub(super) sent: Latency,
}

/// How long requests took; `None` without any.
#[derive(Debug, PartialEq)]
pub(super) struct Latency {
    pub(super) p50: Option<Duration>,
    pub(super) p99: Option<Duration>,
    pub(super) max: Option<Duration>,
}

impl Latency {
    fn of(latencies: &[Duration]) -> Self {
        Self {
            p50: quantile(latencies, 0.5),
            p99: quantile(latencies, 0.99),
            max: latencies.iter().max().copied(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "p50_ms": self.p50.map(milliseconds),
            "p99_ms": self.p99.map(milliseconds),
            "max_ms": self.max.map(milliseconds),
        })
    }
}

impl Record {
    pub(super) fn new(
        name: &'static str,
        sql: &'static str,
        rate: f64,
        connections: u32,
        requests: Vec<Request>,
    ) -> Self {
        Self {
            name,
            sql,
            rate,
            connections,
            requests,
        }
    }

    pub(super) fn figures(&self, phase: &Phase) -> Figures {
        let succeeded = || {
            self.requests
                .iter()
                .filter(|request| request.error.is_none())
        };
        let answered = succeeded()
            .filter(|request| phase.contains(request.due + request.latency))
            .count();
        let due = |request: &&Request| phase.contains(request.due);
        let latencies = |latency: fn(&Request) -> Duration| {
            Latency::of(&succeeded().filter(due).map(latency).collect::<Vec<_>>())
        };
        let failed = self
            .requests
            .iter()
            .filter(due)
            .filter(|request| request.error.is_some());
        Figures {
            per_second: answered as f64 / phase.length().as_secs_f64(),
            failed: failed.count(),
            due: latencies(|request| request.latency),
            sent: latencies(|request| request.latency.saturating_sub(request.late)),
        }
    }

    /// Whether requests had to wait for a connection, all being held up.
    pub(super) fn queued(&self) -> bool {
        let noticeable = Duration::from_millis(100);
        self.requests
            .iter()
            .any(|request| request.late > noticeable)
    }

    /// From this moment to the first successful answer after it.
    pub(super) fn first_answer(&self, after: SystemTime) -> Option<Duration> {
        self.requests
            .iter()
            .filter(|request| request.error.is_none())
            .filter_map(|request| (request.due + request.latency).duration_since(after).ok())
            .min()
    }

    fn json(&self, phases: &Phases) -> Value {
        let figures = |phase: &Phase| {
            let figures = self.figures(phase);
            json!({
                "phase": phase.name,
                "per_s": figures.per_second,
                "failed": figures.failed,
                "from_due": figures.due.json(),
                "from_sent": figures.sent.json(),
            })
        };
        let request = |request: &Request| {
            json!({
                "due": rfc3339(request.due),
                "late_ms": milliseconds(request.late),
                "latency_ms": milliseconds(request.latency),
                "error": request.error,
            })
        };
        json!({
            "sql": self.sql,
            "rate_per_s": self.rate,
            "connections": self.connections,
            "phases": phases.0.iter().map(figures).collect::<Vec<_>>(),
            "requests": self.requests.iter().map(request).collect::<Vec<_>>(),
        })
    }
}

/// `load.json`. A request's latency counts from when it was due; it was sent
/// that much later as `late_ms` says.
pub(super) fn json(records: &[Record], phases: &Phases) -> Value {
    let mut all = json!({ "phases": phases.json() });
    if let Some(map) = all.as_object_mut() {
        map.extend(
            records
                .iter()
                .map(|record| (record.name.to_owned(), record.json(phases))),
        );
    }
    all
}

/// With three decimals: what is finer is noise.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(due: u64, latency: u64, error: Option<&str>) -> Request {
        Request {
            due: SystemTime::UNIX_EPOCH + Duration::from_secs(due),
            // Whoever waits long waits for a connection first.
            late: Duration::from_secs(latency / 4),
            latency: Duration::from_secs(latency),
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn answers_count_when_they_come_and_latencies_when_they_were_due() {
        let requests = vec![
            request(1, 1, None),
            request(2, 20, None),
            request(3, 1, Some("gone")),
            request(12, 1, None),
        ];
        let record = Record::new("writes", "", 1.0, 1, requests);
        let phase = Phase {
            name: "baseline",
            start: SystemTime::UNIX_EPOCH,
            end: SystemTime::UNIX_EPOCH + Duration::from_secs(10),
        };
        let figures = record.figures(&phase);
        assert!((figures.per_second - 0.1).abs() < 1e-9);
        assert_eq!(figures.failed, 1);
        assert!(record.queued());
        let after = phase.end + Duration::from_millis(2500);
        assert_eq!(record.first_answer(after), Some(Duration::from_millis(500)));
        assert_eq!(figures.due.p50, Some(Duration::from_secs(1)));
        assert_eq!(figures.due.max, Some(Duration::from_secs(20)));
        assert_eq!(figures.sent.max, Some(Duration::from_secs(15)));
    }
}
