//! What the client saw: every request, and figures for each phase.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::phase::{Phase, Phases, rfc3339};
use super::{Pace, Plan, Request};
use crate::testbed::quantile::quantile;

/// One kind of request, with all that were made.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) name: &'static str,
    plan: Plan,
    requests: Vec<Request>,
}

/// A stretch in which no request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The last good answer before it.
    pub(crate) start: SystemTime,
    /// From that one to the next.
    pub(crate) length: Duration,
}

/// The figures of one phase. Latencies are of the requests due in it that
/// succeeded.
#[derive(Debug, PartialEq)]
pub(crate) struct Figures {
    /// Requests due in the phase.
    pub(crate) requests: usize,
    /// Successful answers that came within the phase, a second.
    pub(crate) per_second: f64,
    pub(crate) failed: usize,
    /// From when a request was due: what a user of the database waits.
    pub(crate) due: Latency,
    /// From when it was sent: what the database takes.
    pub(crate) sent: Latency,
}

/// How long requests took; `None` without any.
#[derive(Debug, PartialEq)]
pub(crate) struct Latency {
    pub(crate) min: Option<Duration>,
    pub(crate) mean: Option<Duration>,
    pub(crate) p50: Option<Duration>,
    pub(crate) p99: Option<Duration>,
    pub(crate) max: Option<Duration>,
}

impl Latency {
    fn of(latencies: &[Duration]) -> Self {
        let count = u32::try_from(latencies.len()).unwrap_or(u32::MAX);
        Self {
            min: latencies.iter().min().copied(),
            mean: latencies.iter().sum::<Duration>().checked_div(count),
            p50: quantile(latencies, 0.5),
            p99: quantile(latencies, 0.99),
            max: latencies.iter().max().copied(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "min_ms": self.min.map(milliseconds),
            "mean_ms": self.mean.map(milliseconds),
            "p50_ms": self.p50.map(milliseconds),
            "p99_ms": self.p99.map(milliseconds),
            "max_ms": self.max.map(milliseconds),
        })
    }
}

impl Record {
    pub(crate) fn new(name: &'static str, plan: Plan, requests: Vec<Request>) -> Self {
        Self {
            name,
            plan,
            requests,
        }
    }

    pub(crate) fn figures(&self, phase: &Phase) -> Figures {
        let answered = self
            .succeeded()
            .filter(|request| phase.contains(request.due + request.latency))
            .count();
        let due = |request: &&Request| phase.contains(request.due);
        let latencies = |latency: fn(&Request) -> Duration| {
            Latency::of(
                &self
                    .succeeded()
                    .filter(due)
                    .map(latency)
                    .collect::<Vec<_>>(),
            )
        };
        let failed = self
            .requests
            .iter()
            .filter(due)
            .filter(|request| request.error.is_some());
        Figures {
            requests: self.requests.iter().filter(due).count(),
            per_second: answered as f64 / phase.length().as_secs_f64(),
            failed: failed.count(),
            due: latencies(|request| request.latency),
            sent: latencies(|request| request.latency.saturating_sub(request.late)),
        }
    }

    /// Whether requests had to wait for a connection, all being busy.
    pub(crate) fn queued(&self) -> bool {
        let noticeable = Duration::from_millis(100);
        self.requests
            .iter()
            .any(|request| request.late > noticeable)
    }

    /// From this moment to the first successful answer after it.
    pub(crate) fn first_answer(&self, after: SystemTime) -> Option<Duration> {
        let answers = self.answers().into_iter();
        answers
            .filter_map(|answer| answer.duration_since(after).ok())
            .min()
    }

    fn succeeded(&self) -> impl Iterator<Item = &Request> {
        let requests = self.requests.iter();
        requests.filter(|request| request.error.is_none())
    }

    /// When good answers came, in order.
    fn answers(&self) -> Vec<SystemTime> {
        let mut answers: Vec<SystemTime> = self
            .succeeded()
            .map(|request| request.due + request.latency)
            .collect();
        answers.sort_unstable();
        answers
    }

    /// The stretches between two good answers that reach into this phase.
    fn gaps(&self, phase: &Phase) -> Vec<(SystemTime, SystemTime)> {
        let answers = self.answers();
        let pairs = answers.iter().copied().zip(answers.iter().copied().skip(1));
        pairs
            .filter(|(from, to)| *to >= phase.start && *from < phase.end)
            .collect()
    }

    /// The longest stretch between two good answers that reaches into this phase.
    pub(crate) fn longest_gap(&self, phase: &Phase) -> Option<Gap> {
        longest(self.gaps(phase).into_iter())
    }

    /// The longest part of this phase between two good answers, wherever these are.
    pub(crate) fn longest_gap_within(&self, phase: &Phase) -> Option<Gap> {
        let clip =
            |(from, to): (SystemTime, SystemTime)| (from.max(phase.start), to.min(phase.end));
        longest(self.gaps(phase).into_iter().map(clip))
    }

    /// How often each error came, the most frequent first.
    pub(crate) fn errors(&self) -> Vec<(String, usize)> {
        let mut counts = BTreeMap::new();
        for error in self.requests.iter().filter_map(|it| it.error.as_ref()) {
            *counts.entry(error.clone()).or_insert(0) += 1;
        }
        let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }

    fn json(&self, phases: &Phases, slow: Option<Duration>) -> Value {
        let figures = |phase: &Phase| {
            let figures = self.figures(phase);
            json!({
                "phase": phase.name,
                "requests": figures.requests,
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
        let kept = |request: &&Request| {
            request.error.is_some() || slow.is_none_or(|slow| request.latency >= slow)
        };
        let (rate, think) = match self.plan.pace {
            Pace::Open { rate } => (Some(rate), None),
            Pace::Closed { think } => (None, Some(milliseconds(think))),
        };
        json!({
            "sql": self.plan.sql,
            "rate_per_s": rate,
            "think_ms": think,
            "connections": self.plan.connections,
            "phases": phases.0.iter().map(figures).collect::<Vec<_>>(),
            "made": self.requests.len(),
            "failed_or_took_ms": slow.map(milliseconds),
            "requests": self.requests.iter().filter(kept).map(request).collect::<Vec<_>>(),
        })
    }
}

fn longest(gaps: impl Iterator<Item = (SystemTime, SystemTime)>) -> Option<Gap> {
    gaps.filter_map(|(start, end)| {
        let length = end.duration_since(start).ok()?;
        Some(Gap { start, length })
    })
    .max_by_key(|gap| gap.length)
}

/// `load.json`. A request's latency counts from when it was due; it was sent
/// that much later as `late_ms` says. `requests` holds each, or only those that failed or
/// were slow: took as long.
pub(crate) fn json(records: &[Record], phases: &Phases, slow: Option<Duration>) -> Value {
    let each = records.iter();
    let each = each.map(|record| (record.name.to_owned(), record.json(phases, slow)));
    let all = [("phases".to_owned(), phases.json())];
    all.into_iter().chain(each).collect()
}

/// With three decimals: what is finer is noise.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(due: u64, latency: u64, error: Option<&str>) -> Request {
        Request {
            number: 0,
            due: SystemTime::UNIX_EPOCH + Duration::from_secs(due),
            // Whoever waits long waits for a connection first.
            late: Duration::from_secs(latency / 4),
            latency: Duration::from_secs(latency),
            error: error.map(str::to_owned),
        }
    }

    fn plan() -> Plan {
        Plan {
            sql: String::new(),
            pace: Pace::Open { rate: 1.0 },
            connections: 1,
        }
    }

    #[test]
    fn a_gap_is_between_good_answers_and_may_begin_before_the_fault() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let requests = vec![
            request(1, 1, None),
            request(4, 1, Some("gone")),
            request(5, 1, Some("gone")),
            request(6, 3, None),
            request(9, 1, None),
            request(30, 1, None),
        ];
        let record = Record::new("writes", plan(), requests);
        let phase = Phase {
            name: "fault",
            start: at(3),
            end: at(10),
        };
        let gap = record.longest_gap(&phase).unwrap();
        assert_eq!((gap.start, gap.length), (at(2), Duration::from_secs(7)));
        let within = record.longest_gap_within(&phase).unwrap();
        assert_eq!(
            (within.start, within.length),
            (at(3), Duration::from_secs(6))
        );
        assert_eq!(record.errors(), [("gone".to_owned(), 2)]);
        let all = json(std::slice::from_ref(&record), &Phases(vec![]), None);
        assert_eq!(all["writes"]["requests"].as_array().unwrap().len(), 6);
        let slow = Some(Duration::from_secs(2));
        let few = json(&[record], &Phases(vec![]), slow);
        assert_eq!(few["writes"]["requests"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn answers_count_when_they_come_and_latencies_when_they_were_due() {
        let requests = vec![
            request(1, 1, None),
            request(2, 20, None),
            request(3, 1, Some("gone")),
            request(12, 1, None),
        ];
        let record = Record::new("writes", plan(), requests);
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
