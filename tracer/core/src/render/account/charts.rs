//! What happened when, drawn.

use tracer_ebpf::RetransmitKind;

use crate::recording::standby::label::{Who, labels};
use crate::recording::standby::tracker::Tracker;
use crate::render::account::{View, flows};
use crate::render::chart::scale::label;
use crate::render::chart::series::{largest, sums, width_s};
use crate::render::chart::{Bars, Chart, Line, Plot, Points, Stroke, Unit};
use crate::render::document::Block;
use crate::render::table::rtt_ms;
use crate::report::FlowReport;
use crate::report::commits::SlowReport;
use crate::report::latency_probe::ProbeStepReport;
use crate::report::sample::{Sample, Standby};
use crate::report::steps::StepReport;

/// How many flows are drawn by themselves; the rest together.
const MOST_FLOWS: usize = 3;
/// How many slow commits are drawn: the slowest.
const MOST_SLOW: usize = 400;

/// What is in flight for less is nothing special.
const LONG_MS: f64 = 100.0;

/// Colours, by what they mean; on every page the same.
const COMMITS: usize = 1;
const READS: usize = 5;
const IN_FLIGHT: usize = 0;
/// Of lines that are of one sort: as many standbys, or flows, are drawn.
const LINES: [usize; 4] = [1, 0, 2, 5];

pub(crate) fn blocks(drawn: View<'_>) -> Vec<Block> {
    let charts = drawn.retransmits().into_iter();
    charts
        .chain(drawn.bad_checksums())
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

fn line(name: &str, tint: usize, stroke: Stroke, points: Points) -> Line {
    Line {
        name: name.to_owned(),
        tint,
        stroke,
        points,
    }
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

    /// A chart of sums by column, of which each has as many intervals.
    fn bars(&self, title: &str, note: &str, series: Vec<Bars>) -> Chart {
        let width_s = self.width_s();
        let note = format!("segments every {}{note}", seconds(width_s));
        self.chart(title, &note, Unit::Count, Plot::Bars { width_s, series })
    }

    /// A chart of those lines that have anything, if any has.
    fn lines(&self, title: &str, note: &str, unit: Unit, mut series: Vec<Line>) -> Option<Chart> {
        series.retain(|line| line.points.iter().any(|(_, value)| value.is_some()));
        let is_empty = series.is_empty();
        let plot = Plot::Lines {
            logarithmic: false,
            series,
        };
        (!is_empty).then(|| self.chart(title, note, unit, plot))
    }

    /// The same of lengths of time that differ by factors.
    fn durations(&self, title: &str, note: &str, series: Vec<Line>) -> Option<Chart> {
        let note = format!("{note}; by powers of ten");
        let mut chart = self.lines(title, &note, Unit::Milliseconds, series)?;
        if let Plot::Lines { logarithmic, .. } = &mut chart.plot {
            *logarithmic = true;
        }
        Some(chart)
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

    /// What was measured at these moments of the report, by column.
    fn points(&self, points: impl Iterator<Item = (f64, Option<f64>)>) -> Points {
        let points = points.map(|(offset_s, value)| (self.at(offset_s), value));
        largest(points, self.axis.length_s, self.report.request.interval_s)
    }

    /// The flows that retransmitted most, and then all others as one.
    fn retransmits(&self) -> Vec<Chart> {
        let flows = self.report.flows.iter();
        let sent: Vec<&FlowReport> = flows.filter(|flow| flow.segments > 0).collect();
        // One that is left is drawn by itself, too.
        let alone = match sent.len() {
            few if few <= MOST_FLOWS + 1 => few,
            _ => MOST_FLOWS,
        };
        let (alone, others) = sent.split_at(alone);
        let charts = alone.iter();
        let mut charts: Vec<Chart> = charts
            .map(|flow| self.retransmitted(&flows::name(flow), &[&flow.series]))
            .collect();
        let unlisted = self.report.unlisted.iter().map(|all| &all.series[..]);
        let others: Vec<&[StepReport]> = others
            .iter()
            .map(|flow| &flow.series[..])
            .chain(unlisted)
            .collect();
        if !others.is_empty() {
            let listed = sent.len() - alone.len();
            let count = self.report.unlisted_count().saturating_add(listed as u64);
            charts.push(self.retransmitted(&format!("{count} other flows"), &others));
        }
        charts
    }

    fn retransmitted(&self, name: &str, flows: &[&[StepReport]]) -> Chart {
        let steps = || flows.iter().copied().flatten();
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
        let title = format!("Retransmitted: {name}");
        self.bars(&title, ", by kind", series.collect())
    }

    fn bad_checksums(&self) -> Option<Chart> {
        let steps = &self.report.checksum_errors.series;
        let values = steps
            .iter()
            .map(|step| (step.offset_s, step.selected as f64));
        let bars = Bars {
            name: "bad checksum".to_owned(),
            tint: 3,
            values: self.sums(values),
        };
        let title = "Arrived with a bad checksum from the peers";
        (!steps.is_empty()).then(|| self.bars(title, "", vec![bars]))
    }

    /// Of replication, by sample of its sockets.
    fn round_trips(&self) -> Option<Chart> {
        let flows = self.report.flows.iter();
        let sampled = flows.filter_map(|flow| Some((flow, flow.path.as_ref()?)));
        let series = sampled.zip(LINES).map(|((flow, path), tint)| {
            let series = path.series.iter();
            let points = series.map(|one| (one.offset_s, rtt_ms(one.srtt_us)));
            let name = flows::name(flow);
            line(&name, tint, Stroke::Solid, self.points(points))
        });
        self.durations(
            "Round trips of the replication",
            "smoothed; stands still while nothing is acknowledged",
            series.collect(),
        )
    }

    fn latencies(&self) -> Option<Chart> {
        let probe = self.report.postgres.as_ref()?.probe.as_ref()?;
        let points = |steps: &[ProbeStepReport], of: fn(&ProbeStepReport) -> Option<f64>| {
            self.points(steps.iter().map(|step| (step.offset_s, of(step))))
        };
        let (commits, reads) = (&probe.commits.series, &probe.reads.series);
        let oldest = points(commits, |step| {
            step.oldest_outstanding_ms.filter(|ms| *ms >= LONG_MS)
        });
        let (largest, median) = (
            |steps| points(steps, |step| step.latency.max_ms),
            |steps| points(steps, |step| step.latency.p50_ms),
        );
        let (solid, dotted) = (Stroke::Solid, Stroke::Dotted);
        let in_flight = "oldest commit in flight, from 0.1 s on";
        self.durations(
            "How long commits and reads of the probe took",
            "by the interval in which they were answered",
            vec![
                line("commits, largest", COMMITS, solid, largest(commits)),
                line("commits, p50", COMMITS, dotted, median(commits)),
                line(in_flight, IN_FLIGHT, Stroke::Dashed, oldest),
                line("reads, largest", READS, solid, largest(reads)),
                line("reads, p50", READS, dotted, median(reads)),
            ],
        )
    }

    fn slow_commits(&self) -> Option<Chart> {
        let commits = self.report.commits.as_ref()?;
        let mut slowest = commits.slowest();
        slowest.truncate(MOST_SLOW);
        slowest.sort_by(|a, b| a.offset_s.total_cmp(&b.offset_s));
        let points = |of: fn(&SlowReport) -> f64| {
            let slowest = slowest.iter();
            let points = slowest.map(|slow| (self.at(slow.offset_s), Some(of(slow))));
            points.filter(|(at_s, _)| *at_s >= 0.0).collect()
        };
        let total = points(|slow| slow.total_ms);
        let wait = points(|slow| slow.wait_ms);
        let flush = points(|slow| slow.flush_ms);
        self.durations(
            "Commits that were slow, one by one",
            &format!("longer than {}, by when they began", commits.slow_words()),
            vec![
                line("all of a commit", COMMITS, Stroke::Marks, total),
                line(
                    "of it waiting for a standby",
                    IN_FLIGHT,
                    Stroke::Specks,
                    wait,
                ),
                line("of it flushing", READS, Stroke::Specks, flush),
            ],
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
            tracker.each(standbys, &mut each, |(who, points), standby| {
                *who = standby.into();
                points.push((sample.offset_s, of(standby)));
            });
        }
        let (whos, points): (Vec<_>, Vec<_>) = each.into_iter().unzip();
        let lines = labels(&whos).into_iter().zip(points);
        let mut lines: Vec<Line> = lines
            .map(|(name, points)| line(&name, 0, Stroke::Solid, self.points(points.into_iter())))
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
            "WAL that a standby had not flushed",
            "as far as it has said",
            Unit::Bytes,
            self.standbys(|standby| standby.flush_lag_bytes.map(|lag| lag as f64)),
        )
    }

    fn reply_age(&self) -> Option<Chart> {
        self.lines(
            "Age of a standby's last reply",
            "by the standby's own clock",
            Unit::Milliseconds,
            self.standbys(|standby| standby.reply_age_ms),
        )
    }

    fn samples(&self, of: fn(&Sample) -> Option<f64>) -> Points {
        let samples = self.report.postgres.iter().flat_map(|one| &one.series);
        self.points(samples.map(|one| (one.offset_s, of(&one.sample))))
    }

    fn behind(&self) -> Option<Chart> {
        let flushed = self.samples(|one| Some(one.receiver.as_ref()?.flush_lag_bytes? as f64));
        let replayed = self.samples(|one| Some(one.replay.as_ref()?.lag_bytes? as f64));
        self.lines(
            "WAL that this standby had received and not flushed, not replayed",
            "as it says itself",
            Unit::Bytes,
            vec![
                line("not flushed", COMMITS, Stroke::Solid, flushed),
                line("not replayed", READS, Stroke::Solid, replayed),
            ],
        )
    }

    fn waiters(&self) -> Option<Chart> {
        // On a standby there never are any.
        let most = self.report.postgres.as_ref()?.sync_rep_waiters_max;
        let waiters = self.samples(|one| one.sync_rep_waiters.map(f64::from));
        most.filter(|most| *most > 0)?;
        self.lines(
            "Backends that waited for a standby",
            "one sample an interval",
            Unit::Count,
            vec![line("backends", IN_FLIGHT, Stroke::Solid, waiters)],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::chart::Axis;
    use crate::report::Report;

    /// The first moment of each line of each chart, s.
    fn beginnings(shift_s: f64) -> Vec<f64> {
        let report = Report::read(include_bytes!("../../../tests/data/db1.json")).unwrap();
        let axis = Axis {
            length_s: 1_000.0,
            ..Axis::default()
        };
        let charts = blocks(View {
            report: &report,
            axis: &axis,
            shift_s,
            label: "",
        });
        let lines = charts.into_iter().filter_map(|block| match block {
            Block::Chart(Chart {
                plot: Plot::Lines { series, .. },
                ..
            }) => Some(series),
            _ => None,
        });
        let points = lines.flatten().map(|line| line.points);
        points
            .map(|points| points.iter().find(|(_, value)| value.is_some()).unwrap().0)
            .collect()
    }

    #[test]
    fn every_line_is_on_the_axis() {
        // Far more than the width of a column, whose points share a moment.
        let shift_s = 600.0;
        let (alone, shifted) = (beginnings(0.0), beginnings(shift_s));
        assert!(alone.len() > 3, "{alone:?}");
        assert_eq!(alone.len(), shifted.len());
        for (alone_s, shifted_s) in alone.iter().zip(&shifted) {
            let off_s = shifted_s - alone_s - shift_s;
            assert!(off_s.abs() < 10.0, "{alone_s} s is drawn at {shifted_s} s");
        }
    }

    #[test]
    fn a_length_of_columns_has_no_more_digits_than_it_needs() {
        for (width_s, expected) in [(3.0 * 0.1, "0.3 s"), (15.0, "15 s"), (0.05, "0.05 s")] {
            assert_eq!(seconds(width_s), expected);
        }
    }
}
