//! What happened when, drawn.

use tracer_ebpf::RetransmitKind;

use crate::recording::standby::label::{Who, labels};
use crate::recording::standby::tracker::Tracker;
use crate::render::account::{View, flows};
use crate::render::chart::scale::label;
use crate::render::chart::series::{largest, sums, width_s};
use crate::render::chart::{Bars, Chart, Line, Plot, Stroke, Unit};
use crate::render::document::Block;
use crate::report::FlowReport;
use crate::report::commits::SlowReport;
use crate::report::latency_probe::{ProbeStepReport, Requests};
use crate::report::sample::{Sample, Standby};

/// Values over time, s from the start; `None` where it was not known.
type Points = Vec<(f64, Option<f64>)>;

/// How many flows are drawn by themselves; the rest together.
const MOST_FLOWS: usize = 3;
/// How many slow commits are drawn: the slowest.
const MOST_SLOW: usize = 400;

/// What is under way for less is nothing special.
const LONG_MS: f64 = 100.0;

/// Colours, by what they mean; on every page the same.
const COMMITS: usize = 1;
const READS: usize = 5;
const UNDER_WAY: usize = 0;
/// Of lines that are of one sort: as many standbys, or flows, are drawn.
const LINES: [usize; 4] = [1, 0, 2, 5];

/// Charts of all that there is.
pub(crate) fn blocks(drawn: View<'_>) -> Vec<Block> {
    let charts = drawn.retransmits().into_iter();
    charts
        .chain(drawn.damage())
        .chain(drawn.round_trips())
        .chain(drawn.latencies())
        .chain(drawn.slow_commits())
        .chain(drawn.flush_lag())
        .chain(drawn.behind())
        .chain(drawn.reply_age())
        .chain(drawn.waiters())
        .map(Block::Chart)
        .collect()
}

/// A length of columns, which is a sum of intervals: not exact in the last digits.
fn seconds(width_s: f64) -> String {
    format!("{} s", label(width_s, Unit::Count))
}

impl View<'_> {
    fn chart(&self, title: &str, note: &str, unit: Unit, plot: Plot) -> Chart {
        Chart {
            title: format!("{}{title}", self.label),
            note: note.to_owned(),
            axis: self.axis.clone(),
            unit,
            plot,
        }
    }

    fn width_s(&self) -> f64 {
        width_s(self.axis.length_s, self.report.request.interval_s)
    }

    /// Sums of what ended at these moments of the report, by column.
    fn sums(&self, steps: impl Iterator<Item = (f64, f64)>) -> Vec<f64> {
        let steps = steps.map(|(end_s, value)| (self.at(end_s), value));
        let interval_s = self.report.request.interval_s;
        sums(steps, self.axis.length_s, self.width_s(), interval_s)
    }

    /// The flows that sent most again, and then all others as one.
    fn retransmits(&self) -> Vec<Chart> {
        let sent: Vec<&FlowReport> = self
            .report
            .flows
            .iter()
            .filter(|f| f.segments > 0)
            .collect();
        if sent.is_empty() {
            return Vec::new();
        }
        let alone = if sent.len() == MOST_FLOWS + 1 {
            sent.len()
        } else {
            MOST_FLOWS.min(sent.len())
        };
        let (alone, others) = sent.split_at(alone);
        let mut charts: Vec<Chart> = alone
            .iter()
            .map(|flow| self.resent(&flows::name(flow), &[*flow]))
            .collect();
        if !others.is_empty() {
            charts.push(self.resent(&format!("{} other flows", others.len()), others));
        }
        charts
    }

    fn resent(&self, name: &str, flows: &[&FlowReport]) -> Chart {
        let width_s = self.width_s();
        let steps = || flows.iter().flat_map(|flow| &flow.series);
        let series = RetransmitKind::ALL.into_iter().filter_map(|kind| {
            let of_kind = steps().map(|step| {
                let (_, count) = step.by_kind.each()[kind as usize];
                (step.offset_s, count as f64)
            });
            let values = self.sums(of_kind);
            values.iter().any(|value| *value > 0.0).then(|| Bars {
                name: kind.name().to_owned(),
                tint: kind as usize,
                values,
            })
        });
        self.chart(
            &format!("Retransmitted: {name}"),
            &format!("segments every {}, by kind", seconds(width_s)),
            Unit::Count,
            Plot::Bars {
                width_s,
                series: series.collect(),
            },
        )
    }

    fn damage(&self) -> Option<Chart> {
        let steps = &self.report.checksum_errors.series;
        let width_s = self.width_s();
        let values = steps
            .iter()
            .map(|step| (step.offset_s, step.selected as f64));
        let bars = Bars {
            name: "bad checksum".to_owned(),
            tint: 3,
            values: self.sums(values),
        };
        (!steps.is_empty()).then(|| {
            self.chart(
                "Arrived with a bad checksum from the peers",
                &format!("segments every {}", seconds(width_s)),
                Unit::Count,
                Plot::Bars {
                    width_s,
                    series: vec![bars],
                },
            )
        })
    }

    /// Of replication, as its sockets told at every look.
    fn round_trips(&self) -> Option<Chart> {
        let told = self.report.flows.iter();
        let told = told.filter_map(|flow| Some((flow, flow.path.as_ref()?)));
        let series = told
            .zip(LINES)
            .map(|((flow, path), tint)| Line {
                name: flows::name(flow),
                tint,
                stroke: Stroke::Solid,
                points: self.points(path.series.iter().map(|one| {
                    let ms = one.srtt_us.map(|us| f64::from(us) / 1e3);
                    (one.offset_s, ms)
                })),
            })
            .collect();
        self.lines(
            "Round trips of the replication",
            "smoothed; stands still while nothing is acknowledged; by powers of ten",
            Unit::Milliseconds,
            true,
            series,
        )
    }

    fn latencies(&self) -> Option<Chart> {
        let probe = self.report.postgres.as_ref()?.probe.as_ref()?;
        let line =
            |name: &str, tint, stroke, requests: &Requests, of: fn(&ProbeStepReport) -> _| Line {
                name: name.to_owned(),
                tint,
                stroke,
                points: self.points(requests.series.iter().map(|step| (step.offset_s, of(step)))),
            };
        let (commits, reads) = (&probe.commits, &probe.reads);
        let series = [
            line(
                "commits, largest",
                COMMITS,
                Stroke::Solid,
                commits,
                |step| step.latency.max_ms,
            ),
            line("commits, p50", COMMITS, Stroke::Dotted, commits, |step| {
                step.latency.p50_ms
            }),
            line(
                "oldest commit in flight, from 0.1 s on",
                UNDER_WAY,
                Stroke::Dashed,
                commits,
                |step| step.oldest_outstanding_ms.filter(|ms| *ms >= LONG_MS),
            ),
            line("reads, largest", READS, Stroke::Solid, reads, |step| {
                step.latency.max_ms
            }),
            line("reads, p50", READS, Stroke::Dotted, reads, |step| {
                step.latency.p50_ms
            }),
        ];
        self.lines(
            "How long commits and reads of the probe took",
            "by the interval in which they were answered; by powers of ten",
            Unit::Milliseconds,
            true,
            series.into(),
        )
    }

    fn slow_commits(&self) -> Option<Chart> {
        let commits = self.report.commits.as_ref()?;
        let mut slowest: Vec<_> = commits.slow.iter().collect();
        slowest.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms));
        slowest.truncate(MOST_SLOW);
        slowest.sort_by(|a, b| a.offset_s.total_cmp(&b.offset_s));
        let line = |name: &str, tint, stroke, of: fn(&SlowReport) -> f64| {
            let points = slowest
                .iter()
                .map(|slow| (self.at(slow.offset_s), Some(of(slow))));
            Line {
                name: name.to_owned(),
                tint,
                stroke,
                points: points.filter(|(at_s, _)| *at_s >= 0.0).collect(),
            }
        };
        let series = vec![
            line("all of a commit", COMMITS, Stroke::Marks, |slow| {
                slow.total_ms
            }),
            line(
                "of it waiting for a standby",
                UNDER_WAY,
                Stroke::Specks,
                |slow| slow.wait_ms,
            ),
            line("of it flushing", READS, Stroke::Specks, |slow| {
                slow.flush_ms
            }),
        ];
        self.lines(
            "Commits that were slow, one by one",
            &format!(
                "longer than {} ms, by when they began; by powers of ten",
                commits.slow_ms
            ),
            Unit::Milliseconds,
            true,
            series,
        )
    }

    /// Standbys by name, with what a sample says of each.
    fn standbys(&self, of: fn(&Standby) -> Option<f64>) -> Vec<Line> {
        let Some(postgres) = &self.report.postgres else {
            return Vec::new();
        };
        let mut tracker = Tracker::default();
        let mut each: Vec<(Who<'_>, Points)> = Vec::new();
        for sample in &postgres.series {
            let standbys = &sample.sample.standbys;
            for (standby, number) in standbys.iter().zip(tracker.find(standbys)) {
                let Some(number) = number else {
                    continue;
                };
                if each.len() <= number {
                    each.resize_with(number + 1, Default::default);
                }
                if let Some((who, points)) = each.get_mut(number) {
                    *who = standby.into();
                    points.push((sample.offset_s, of(standby)));
                }
            }
        }
        let (whos, points): (Vec<_>, Vec<_>) = each.into_iter().unzip();
        let mut lines: Vec<Line> = labels(&whos)
            .into_iter()
            .zip(points)
            .map(|(name, points)| Line {
                name,
                tint: 0,
                stroke: Stroke::Solid,
                points: self.points(points.into_iter()),
            })
            .collect();
        let most = |line: &Line| {
            let values = line.points.iter().filter_map(|(_, value)| *value);
            values.fold(f64::MIN, f64::max)
        };
        lines.sort_by(|a, b| most(b).total_cmp(&most(a)));
        lines.truncate(LINES.len());
        for (line, tint) in lines.iter_mut().zip(LINES) {
            line.tint = tint;
        }
        lines
    }

    fn flush_lag(&self) -> Option<Chart> {
        self.lines(
            "Log that a standby had not flushed",
            "as far as it has said",
            Unit::Bytes,
            false,
            self.standbys(|standby| standby.flush_lag_bytes.map(|lag| lag as f64)),
        )
    }

    fn reply_age(&self) -> Option<Chart> {
        self.lines(
            "Age of a standby's last reply",
            "by the standby's own clock",
            Unit::Milliseconds,
            false,
            self.standbys(|standby| standby.reply_age_ms),
        )
    }

    /// What a standby says of itself.
    fn behind(&self) -> Option<Chart> {
        let samples = &self.report.postgres.as_ref()?.series;
        let points = |of: fn(&Sample) -> Option<i64>| {
            let points = samples.iter().map(|one| (one.offset_s, of(&one.sample)));
            self.points(points.map(|(at_s, lag)| (at_s, lag.map(|lag| lag as f64))))
        };
        let line = |name: &str, tint, points| Line {
            name: name.to_owned(),
            tint,
            stroke: Stroke::Solid,
            points,
        };
        let series = vec![
            line(
                "not flushed",
                COMMITS,
                points(|sample| sample.receiver.as_ref()?.flush_lag_bytes),
            ),
            line(
                "not replayed",
                READS,
                points(|sample| sample.replay.as_ref()?.lag_bytes),
            ),
        ];
        self.lines(
            "Log that this standby had received and not flushed, not replayed",
            "as it says itself",
            Unit::Bytes,
            false,
            series,
        )
    }

    fn waiters(&self) -> Option<Chart> {
        let samples = &self.report.postgres.as_ref()?.series;
        let points = samples.iter().map(|one| {
            let waiters = one.sample.sync_rep_waiters;
            (one.offset_s, waiters.map(f64::from))
        });
        // On a standby there never are any.
        self.report
            .postgres
            .as_ref()?
            .sync_rep_waiters_max
            .filter(|most| *most > 0)?;
        let line = Line {
            name: "backends".to_owned(),
            tint: UNDER_WAY,
            stroke: Stroke::Solid,
            points: self.points(points),
        };
        self.lines(
            "Backends that waited for a standby",
            "one sample an interval",
            Unit::Count,
            false,
            vec![line],
        )
    }

    fn points(&self, points: impl Iterator<Item = (f64, Option<f64>)>) -> Vec<(f64, Option<f64>)> {
        largest(points, self.axis.length_s, self.report.request.interval_s)
    }

    /// A chart of those lines that have anything, if any has.
    fn lines(
        &self,
        title: &str,
        note: &str,
        unit: Unit,
        logarithmic: bool,
        mut series: Vec<Line>,
    ) -> Option<Chart> {
        series.retain(|line| line.points.iter().any(|(_, value)| value.is_some()));
        let plot = Plot::Lines {
            logarithmic,
            series,
        };
        match &plot {
            Plot::Lines { series, .. } if series.is_empty() => None,
            _ => Some(self.chart(title, note, unit, plot)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn a_length_of_columns_has_no_more_digits_than_it_needs() {
        for (width_s, expected) in [(3.0 * 0.1, "0.3 s"), (15.0, "15 s"), (0.05, "0.05 s")] {
            assert_eq!(seconds(width_s), expected);
        }
    }
}
