//! How long commits took, how many there were, and how many were slow.

use crate::compare::dispersion::Dispersion;
use crate::compare::durations::{self, Durations};
use crate::compare::elapsed;
use crate::compare::estimate::Estimate;
use crate::compare::metric::{Metric, Repeated, Timed};
use crate::compare::model::{ComparedFigure, Subject};
use crate::compare::servers::{ComparedServer, committing};
use crate::compare::stages;
use crate::report::Report;
use crate::report::commits::{CommitsReport, ServerReport, SlowReport};
use crate::report::histogram::PartQuantiles;
use crate::report::phase::PhaseReport;

/// A server in one run.
#[derive(Debug, Clone, Copy)]
struct RunServer<'a> {
    report: &'a Report,
    commits: &'a CommitsReport,
    server: &'a ServerReport,
}

/// A part of commits, of all of them and of a slow one.
type CommitPart = (
    Timed,
    fn(&ServerReport) -> &PartQuantiles,
    fn(&SlowReport) -> f64,
);

/// What is not a length of time.
type ServerEstimate = (Metric, fn(&RunServer<'_>) -> Option<Estimate>);

const PARTS: [CommitPart; 4] = [
    (Timed::Commit, |one| &one.total, |slow| slow.total_ms),
    (Timed::CommitFlush, |one| &one.flush, |slow| slow.flush_ms),
    (Timed::CommitWait, |one| &one.wait, |slow| slow.wait_ms),
    (Timed::CommitRest, |one| &one.rest, |slow| slow.rest_ms),
];

/// Of the whole run, with what waits were made of.
pub(super) fn whole(reports: [&Report; 2]) -> Vec<ComparedFigure> {
    let mut figures = Vec::new();
    for compared in committing(reports) {
        let of = subject(&compared);
        let servers = in_runs(reports, &compared);
        for (timed, part, of_slow) in PARTS {
            let durations = servers.map(|one| one.and_then(|one| one.durations(part, of_slow)));
            figures.extend(durations::figures(timed, &of, &durations));
        }
        let estimates: [ServerEstimate; 3] = [
            (Metric::Rate(Repeated::Commit), |one| one.rate()),
            (Metric::Rate(Repeated::SlowCommit), |one| one.slow_rate()),
            (Metric::SlowShare, |one| one.slow_share()),
        ];
        for (metric, estimate) in estimates {
            let both = servers.map(|one| one.as_ref().and_then(estimate));
            figures.extend(ComparedFigure::new(metric, of.clone(), both));
        }
        figures.extend(stages::figures(&compared));
    }
    figures
}

/// Of a phase: how many of the commits that began in it were slow. The others are known by the
/// run alone.
pub(super) fn phase(reports: [&Report; 2], phases: [&PhaseReport; 2]) -> Vec<ComparedFigure> {
    let mut figures = Vec::new();
    for compared in committing(reports) {
        let [before, after] = in_runs(reports, &compared);
        let both = [(before, phases[0]), (after, phases[1])]
            .map(|(one, phase)| one.and_then(|one| one.slow_rate_in(phase)));
        let metric = Metric::Rate(Repeated::SlowCommit);
        figures.extend(ComparedFigure::new(metric, subject(&compared), both));
    }
    figures
}

fn subject(compared: &ComparedServer<'_>) -> Subject {
    Subject {
        server: Some(compared.name.clone()),
        ..Subject::default()
    }
}

/// A server, where it is and there was a look at its commits.
fn in_runs<'a>(
    [before, after]: [&'a Report; 2],
    compared: &ComparedServer<'a>,
) -> [Option<RunServer<'a>>; 2] {
    let [one, other] = compared.servers;
    [(before, one), (after, other)].map(|(report, server)| {
        Some(RunServer {
            report,
            commits: report.commits.as_ref()?,
            server: server?,
        })
    })
}

impl RunServer<'_> {
    /// One part of its commits. All that took as long as a commit has to that is slow whatever
    /// is usual are listed one by one, if there was room for all.
    fn durations(
        &self,
        part: fn(&ServerReport) -> &PartQuantiles,
        of_slow: fn(&SlowReport) -> f64,
    ) -> Option<Durations> {
        let mut longest: Vec<f64> = match self.lists_all() {
            true => self.slow().map(of_slow).collect(),
            false => Vec::new(),
        };
        longest.retain(|ms| *ms >= self.commits.slow_ms);
        longest.sort_unstable_by(|one, other| other.total_cmp(one));
        Durations::of(part(self.server), Some(self.server.commits), &longest)
    }

    fn slow(&self) -> impl Iterator<Item = &SlowReport> {
        let own = self.server.pid;
        let slow = self.commits.slow.iter();
        slow.filter(move |one| one.server_pid == own)
    }

    /// Whether each slow commit is listed.
    fn lists_all(&self) -> bool {
        self.commits.slow_dropped == 0 && self.commits.slow_lost == 0
    }

    /// For how long commits were counted, s.
    fn seconds(&self) -> Option<f64> {
        elapsed::seconds(self.commits.start.as_deref()?, &self.report.window.end)
    }

    fn rate(&self) -> Option<Estimate> {
        let commits = Dispersion::measured(self.server.dispersion).estimate(self.server.commits);
        commits.per(self.seconds()?)
    }

    /// How many were slow: a stall makes several of them so.
    fn slow_count(&self) -> Estimate {
        let moments = self.slow().map(|one| (one.offset_s, 1));
        let interval_s = self.report.request.interval_s;
        let length_s = self.report.window.duration_s;
        Dispersion::of(moments, interval_s, length_s).estimate(self.server.slow)
    }

    fn slow_rate(&self) -> Option<Estimate> {
        self.slow_count().per(self.seconds()?)
    }

    fn slow_share(&self) -> Option<Estimate> {
        let share = self.slow_count().per(self.server.commits as f64);
        share.map(Estimate::of_all)
    }

    /// How many of those that began in a phase were slow, a second; `None` if not all are listed.
    fn slow_rate_in(&self, phase: &PhaseReport) -> Option<Estimate> {
        if !self.lists_all() {
            return None;
        }
        let is_in = |one: &&SlowReport| {
            let within_s = one.offset_s - phase.offset_s;
            (0.0..phase.duration_s).contains(&within_s)
        };
        let moments: Vec<_> = self
            .slow()
            .filter(is_in)
            .map(|one| (one.offset_s, 1))
            .collect();
        let count = moments.len() as u64;
        let interval_s = self.report.request.interval_s;
        let dispersion = Dispersion::of(moments, interval_s, phase.duration_s);
        dispersion.estimate(count).per(phase.duration_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::change::Change;
    use crate::compare::metric::Quantile;

    /// 120 commits, each of them slow and listed, while half of a standby's replies arrived
    /// with a bad checksum.
    fn report() -> Report {
        Report::read(include_bytes!("../../tests/data/stages.json")).unwrap()
    }

    fn found(figures: &[ComparedFigure], metric: Metric) -> ComparedFigure {
        let mut those = figures.iter().filter(|one| one.metric == metric);
        let first = those.next().unwrap().clone();
        assert!(those.next().is_none(), "{metric} twice");
        first
    }

    #[test]
    fn a_run_beside_itself_has_not_changed() {
        let report = report();
        let figures = whole([&report, &report]);
        assert!(!figures.is_empty());
        for figure in &figures {
            assert_eq!(figure.change, Change::WithinUncertainty, "{figure:?}");
            assert_eq!(figure.before, figure.after, "{figure:?}");
            assert_eq!(figure.of.server.as_deref(), Some("port 5432"));
        }
        let rate = found(&figures, Metric::Rate(Repeated::Commit));
        assert!(
            (10.0..11.0).contains(&rate.after.unwrap().value),
            "{rate:?}"
        );
        let share = found(&figures, Metric::SlowShare).after.unwrap();
        assert_eq!((share.value, share.count), (1.0, 120));
    }

    #[test]
    fn commits_that_all_took_longer_are_higher() {
        let before = report();
        let mut after = report();
        let server = &mut after.commits.as_mut().unwrap().servers[0];
        let total = &mut server.total.part;
        for ms in [&mut total.p50_ms, &mut total.p95_ms, &mut total.p99_ms] {
            *ms = ms.map(|ms| ms * 10_000.0);
        }
        total.max_ms = total.p99_ms;
        after.commits.as_mut().unwrap().slow.clear();
        let figures = whole([&before, &after]);
        let p95 = found(&figures, Metric::Took(Timed::Commit, Quantile::P95));
        assert_eq!(p95.change, Change::Higher, "{p95:?}");
        assert!(p95.ratio.unwrap() > 9_999.0, "{p95:?}");
        // One commit decides the largest.
        let largest = Metric::Took(Timed::Commit, Quantile::Largest);
        let largest = found(&figures, largest);
        assert_eq!(largest.change, Change::WithinUncertainty, "{largest:?}");
    }

    #[test]
    fn where_slow_commits_were_dropped_the_others_are_not_taken_for_all() {
        let report = report();
        let p95 = |report: &Report| {
            let figures = whole([report, report]);
            let metric = Metric::Took(Timed::Commit, Quantile::P95);
            found(&figures, metric).after.unwrap()
        };
        let exact = p95(&report);
        let mut dropped = report.clone();
        dropped.commits.as_mut().unwrap().slow_dropped = 1;
        let wide = p95(&dropped);
        assert!(exact.at_least > wide.at_least, "{exact:?} {wide:?}");
        assert!(exact.at_most < wide.at_most, "{exact:?} {wide:?}");
    }

    #[test]
    fn commits_that_came_unevenly_are_less_certain_and_no_more_than_all_are_slow() {
        let evenly = report();
        let mut unevenly = report();
        unevenly.commits.as_mut().unwrap().servers[0].dispersion = Some(9.0);
        let of = |report: &Report, metric| found(&whole([report, report]), metric).after.unwrap();
        let rate = |report| of(report, Metric::Rate(Repeated::Commit));
        let (evenly, unevenly) = (rate(&evenly), rate(&unevenly));
        assert_eq!(evenly.value, unevenly.value);
        assert!(evenly.at_least > unevenly.at_least, "{unevenly:?}");
        assert!(evenly.at_most < unevenly.at_most, "{unevenly:?}");
        let share = of(&report(), Metric::SlowShare);
        assert_eq!(share.at_most, Some(1.0));
    }

    #[test]
    fn a_server_that_commits_no_longer_does_so_at_a_rate_of_0() {
        let before = report();
        let mut after = report();
        let commits = after.commits.as_mut().unwrap();
        commits.slow.clear();
        let server = &mut commits.servers[0];
        (server.commits, server.slow) = (0, 0);
        server.total = PartQuantiles::default();
        let figures = whole([&before, &after]);
        let rate = found(&figures, Metric::Rate(Repeated::Commit));
        assert_eq!(rate.after.map(|one| one.value), Some(0.0), "{rate:?}");
        assert_eq!(rate.change, Change::Lower);
        let p99 = found(&figures, Metric::Took(Timed::Commit, Quantile::P99));
        assert_eq!(p99.change, Change::NotMeasured);
        let share = figures.iter().find(|one| one.metric == Metric::SlowShare);
        assert_eq!(share.unwrap().change, Change::NotMeasured);
        // One that never committed is none to compare.
        assert!(whole([&after, &after]).is_empty());
    }

    #[test]
    fn without_commits_there_is_nothing_to_compare() {
        let mut other = report();
        other.commits = None;
        assert!(whole([&other, &other]).is_empty());
        let lone = whole([&report(), &other]);
        assert!(!lone.is_empty());
        let mut changes = lone.iter().map(|one| one.change);
        assert!(changes.all(|one| one == Change::NotMeasured));
    }

    #[test]
    fn slow_commits_belong_to_the_phase_in_which_they_began() {
        let report = report();
        let whole = &report.phases[0];
        let half = PhaseReport {
            duration_s: whole.duration_s / 2.0,
            ..whole.clone()
        };
        let count = |phase: &PhaseReport| {
            let figures = phase_of(&report, phase);
            found(&figures, Metric::Rate(Repeated::SlowCommit))
                .after
                .unwrap()
                .count
        };
        assert_eq!(count(whole), 120);
        assert!((1..120).contains(&count(&half)));
    }

    fn phase_of(report: &Report, phase: &PhaseReport) -> Vec<ComparedFigure> {
        super::phase([report, report], [phase, phase])
    }
}
