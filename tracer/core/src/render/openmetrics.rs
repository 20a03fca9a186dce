//! A moment of a run as OpenMetrics text.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::metrics::{Database, GAPS, Metrics, StandbyMetrics};
use crate::spread::Spread;

/// The media type of what is rendered.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics.
///
/// # Errors
/// Never: writing to a string cannot fail.
pub fn render(metrics: Metrics) -> Result<String, Error> {
    let mut registry = Registry::with_prefix("tracer");
    registry.register_collector(Box::new(Snapshot(metrics)));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Snapshot(Metrics);

type Labels = Vec<(&'static str, String)>;

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let mut to = Family(&mut encoder);
        to.traffic(&self.0)?;
        if let Some(database) = &self.0.database {
            to.database(database)?;
        }
        to.commits(&self.0)?;
        to.health(&self.0)
    }
}

struct Family<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Family<'_, '_> {
    /// Series with their labels, and without braces where they have none.
    fn family<V>(
        &mut self,
        (name, help): (&str, &str),
        kind: MetricType,
        series: impl IntoIterator<Item = (Labels, V)>,
        encode: impl Fn(&mut MetricEncoder<'_>, V) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in series {
            match labels.is_empty() {
                true => encode(&mut metric, value)?,
                false => encode(&mut metric.encode_family(&labels)?, value)?,
            }
        }
        Ok(())
    }

    /// A counter, whose name gets `_total`.
    fn counter<V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels, V)>,
    ) -> Result<(), Error> {
        self.family(
            (name, help),
            MetricType::Counter,
            series,
            |metric, value| metric.encode_counter::<NoLabelSet, _, f64>(&value, None),
        )
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels, f64)>,
    ) -> Result<(), Error> {
        self.family((name, help), MetricType::Gauge, series, |metric, value| {
            metric.encode_gauge(&value)
        })
    }

    fn histogram<'s>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels, &'s Spread)>,
    ) -> Result<(), Error> {
        self.family(
            (name, help),
            MetricType::Histogram,
            series,
            |metric, spread| {
                let (sum_s, count) = (spread.sum_s, spread.count());
                metric.encode_histogram::<NoLabelSet>(sum_s, count, &spread.ranges, None)
            },
        )
    }

    fn traffic(&mut self, metrics: &Metrics) -> Result<(), Error> {
        self.counter(
            "retransmitted_segments",
            "Segments retransmitted to the watched peers",
            metrics.sent.iter().map(|one| {
                let labels = vec![
                    ("kind", one.kind.to_owned()),
                    ("role", one.role.clone()),
                    ("peer", one.peer.clone()),
                ];
                (labels, one.segments)
            }),
        )?;
        self.counter(
            "all_retransmitted_segments",
            "Segments retransmitted to every peer in the traced network namespaces",
            metrics
                .all
                .iter()
                .map(|(kind, segments)| (vec![("kind", (*kind).to_owned())], *segments)),
        )?;
        self.counter(
            "kernel_retransmitted_segments",
            "What the kernel's RetransSegs has grown by in the same namespaces",
            bare(metrics.kernel_segments),
        )?;
        self.gauge(
            "unexplained_segments",
            "The kernel's count less tracer's; not 0 for a moment while segments are retransmitted, and before Linux 6.17 while those that could not leave wait for their connection's next hit",
            bare(metrics.unexplained.map(|value| value as f64)),
        )?;
        self.counter(
            "checksum_errors",
            "Segments from the watched peers that arrived with a bad checksum",
            bare([metrics.bad_checksums]),
        )?;
        self.counter(
            "kernel_checksum_errors",
            "What the kernel's InCsumErrors has grown by, from every peer",
            bare(metrics.kernel_bad_checksums),
        )?;
        let resets = [
            ("sent", metrics.resets_sent),
            ("received", metrics.resets_received),
        ];
        self.counter(
            "resets",
            "Connections with the watched peers that were torn down",
            resets.map(|(direction, count)| (vec![("direction", direction.to_owned())], count)),
        )?;
        self.gauge(
            "fault_active",
            "1 while tracer breaks the network on purpose",
            bare(metrics.fault_active.map(flag)),
        )
    }

    fn database(&mut self, database: &Database) -> Result<(), Error> {
        self.gauge(
            "postgres_up",
            "1 if the watched PostgreSQL server answered last time",
            bare([flag(database.up)]),
        )?;
        self.gauge(
            "postgres_primary",
            "1 if the server takes writes, 0 if it is a standby",
            bare(database.primary.map(flag)),
        )?;
        self.gauge(
            "sync_rep_waiters",
            "Backends that wait for a synchronous standby",
            bare(database.sync_rep_waiters.map(f64::from)),
        )?;
        self.gauge(
            "sync_rep_longest_wait_seconds",
            "For how long the oldest statement that waits for a synchronous standby has been running; 0 if none waits",
            bare(database.sync_rep_longest_s),
        )?;
        let standbys = || database.standbys.iter();
        self.gauge(
            "standby_lag_bytes",
            "WAL that a standby has not got to yet, by what it has not done",
            standbys().flat_map(|one| {
                one.lags.iter().map(|(stage, lag)| {
                    let stage = ("stage", (*stage).to_owned());
                    (of_standby(one).chain([stage]).collect(), *lag as f64)
                })
            }),
        )?;
        self.gauge(
            "standby_reply_age_seconds",
            "Since the last reply of a standby was sent, by its own clock",
            standbys().filter_map(|one| {
                let age_s = one.reply_age_s?;
                Some((of_standby(one).collect(), age_s))
            }),
        )?;
        let probe = [
            ("commit", &database.probe_commits),
            ("read", &database.probe_reads),
        ];
        self.histogram(
            "probe_latency_seconds",
            "Latency of the probe's requests, from when they were due",
            probe.into_iter().filter_map(|(sort, spread)| {
                Some((vec![("request", sort.to_owned())], spread.as_ref()?))
            }),
        )?;
        let undone = database.probe_undone.into_iter();
        self.counter(
            "probe_undone_commits",
            "Commits of the probe that failed, or were due and could not be started",
            undone.flat_map(|(failed, not_started)| {
                [("failed", failed), ("not_started", not_started)]
                    .map(|(why, count)| (vec![("why", why.to_owned())], count))
            }),
        )?;
        self.gauge(
            "probe_oldest_commit_seconds",
            "How long the oldest of the probe's commits in flight has been due",
            bare(database.probe_oldest_s),
        )
    }

    fn commits(&mut self, metrics: &Metrics) -> Result<(), Error> {
        self.histogram(
            "commit_seconds",
            "Commits of PostgreSQL servers on this host, by part: total, flush, wait, rest",
            metrics.commits.iter().flat_map(|server| {
                server.parts.iter().map(|(part, spread)| {
                    let labels = vec![
                        ("server_pid", server.pid.to_string()),
                        ("part", (*part).to_owned()),
                    ];
                    (labels, spread)
                })
            }),
        )?;
        self.histogram(
            "commit_stage_seconds",
            "Waits of commits for a standby, by stage and the standby whose reply ended them",
            metrics.commits.iter().flat_map(|server| {
                server.waits.iter().flat_map(|(standby, stages)| {
                    stages.iter().map(|(stage, spread)| {
                        let labels = vec![
                            ("server_pid", server.pid.to_string()),
                            ("standby", standby.clone()),
                            ("stage", (*stage).to_owned()),
                        ];
                        (labels, spread)
                    })
                })
            }),
        )?;
        self.histogram(
            "wal_stage_seconds",
            "Messages with WAL that a standby on this host received, by stage",
            metrics.received.iter().flat_map(|standby| {
                standby.stages.iter().map(|(stage, spread)| {
                    let labels = vec![
                        ("server_pid", standby.pid.to_string()),
                        ("stage", (*stage).to_owned()),
                    ];
                    (labels, spread)
                })
            }),
        )
    }

    fn health(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let health = &metrics.health;
        self.gauge(
            "uptime_seconds",
            "Since counting began",
            bare([health.uptime_s]),
        )?;
        self.counter(
            "cpu_seconds",
            "Processor time that tracer itself has used",
            bare([health.cpu_s]),
        )?;
        self.gauge(
            "flows",
            "Flows in the flow table",
            bare([health.flows as f64]),
        )?;
        self.counter(
            "lost_events",
            "Events that were not written for lack of room; counts are complete",
            bare([health.lost_events]),
        )?;
        self.counter(
            "unwritten_events",
            "Events that the file of --events did not get; counts are complete",
            bare([health.unwritten_events]),
        )?;
        self.counter(
            "gaps",
            "What had to be given up, by what; sums by flow may then be incomplete",
            GAPS.into_iter()
                .zip(&health.gaps)
                .map(|(what, count)| (vec![("what", what.to_owned())], *count)),
        )?;
        self.gauge(
            "build_info",
            "1, with the version as a label",
            [(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0)],
        )
    }
}

/// What sets one standby apart.
fn of_standby(one: &StandbyMetrics) -> impl Iterator<Item = (&'static str, String)> {
    let address = one.address.clone().map(|address| ("address", address));
    [("standby", one.name.clone())]
        .into_iter()
        .chain(address)
        .chain([("sync_state", one.sync_state.clone())])
}

fn bare<V>(values: impl IntoIterator<Item = V>) -> impl Iterator<Item = (Labels, V)> {
    values.into_iter().map(|value| (Labels::new(), value))
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tally::Sent;
    use crate::metrics::{Health, Received};

    #[test]
    fn names_follow_the_convention_and_labels_are_escaped() {
        let mut spread = Spread::new();
        spread.add(700, 2);
        let text = render(Metrics {
            sent: vec![Sent {
                kind: "rto",
                role: "walsender".into(),
                peer: "10.0.10.3".into(),
                segments: 7,
            }],
            kernel_segments: Some(7),
            unexplained: Some(0),
            fault_active: Some(true),
            database: Some(Database {
                up: true,
                sync_rep_longest_s: Some(0.02),
                standbys: vec![StandbyMetrics {
                    name: "a\"b\n{}".into(),
                    address: Some("10.0.10.3".into()),
                    sync_state: "sync".into(),
                    lags: vec![("flush", -5)],
                    reply_age_s: Some(0.25),
                }],
                probe_commits: Some(spread.clone()),
                ..Database::default()
            }),
            received: vec![Received {
                pid: 17,
                stages: vec![("flush", spread)],
            }],
            health: Health {
                gaps: vec![0, 0, 0, 0, 0, 3],
                unwritten_events: 2,
                ..Health::default()
            },
            ..Metrics::default()
        })
        .unwrap();
        for line in [
            "tracer_retransmitted_segments_total{kind=\"rto\",role=\"walsender\",peer=\"10.0.10.3\"} 7",
            "tracer_kernel_retransmitted_segments_total 7",
            "tracer_unexplained_segments 0.0",
            "tracer_gaps_total{what=\"flows_full\"} 0",
            "tracer_gaps_total{what=\"commits_not_counted\"} 3",
            "tracer_unwritten_events_total 2",
            "tracer_fault_active 1.0",
            "tracer_postgres_up 1.0",
            "tracer_sync_rep_longest_wait_seconds 0.02",
            "tracer_standby_lag_bytes{standby=\"a\\\"b\\n{}\",address=\"10.0.10.3\",sync_state=\"sync\",stage=\"flush\"} -5.0",
            "tracer_probe_latency_seconds_bucket{le=\"0.001\",request=\"commit\"} 2",
            "tracer_probe_latency_seconds_bucket{le=\"+Inf\",request=\"commit\"} 2",
            "tracer_probe_latency_seconds_count{request=\"commit\"} 2",
            "tracer_wal_stage_seconds_bucket{le=\"0.001\",server_pid=\"17\",stage=\"flush\"} 2",
            "tracer_wal_stage_seconds_count{server_pid=\"17\",stage=\"flush\"} 2",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
