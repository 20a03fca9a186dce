//! What became of the probe's commits and reads.

use crate::compare::dispersion::Dispersion;
use crate::compare::durations::{self, Durations};
use crate::compare::elapsed;
use crate::compare::estimate::Estimate;
use crate::compare::metric::{Metric, Repeated, Timed};
use crate::compare::model::{ComparedFigure, Subject};
use crate::report::Report;
use crate::report::latency_probe::{ProbeReport, Requests};
use crate::report::phase::{PhaseReport, PhaseRequests};
use crate::report::quantiles::Quantiles;

/// Requests of one sort in a part of one run.
#[derive(Debug, Clone, Copy)]
struct Answered {
    count: u64,
    /// For how long they were made; `None` if that is not known.
    seconds: Option<f64>,
    /// How unevenly answers came: those that waited for a stall to end come together.
    dispersion: Dispersion,
    latency: Quantiles,
}

/// Which of the probe's requests.
type ProbeRequests = fn(&ProbeReport) -> &Requests;

const COMMITS: ProbeRequests = |probe| &probe.commits;
const READS: ProbeRequests = |probe| &probe.reads;

/// Of the whole run.
pub(super) fn whole(reports: [&Report; 2]) -> Vec<ComparedFigure> {
    figures(
        reports.map(|report| in_run(report, COMMITS)),
        reports.map(|report| in_run(report, READS)),
    )
}

/// Of a phase.
pub(super) fn phase(reports: [&Report; 2], phases: [&PhaseReport; 2]) -> Vec<ComparedFigure> {
    let [before, after] = reports;
    let parts = [(before, phases[0]), (after, phases[1])];
    figures(
        parts.map(|(report, phase)| in_phase(report, phase, phase.figures.commits, COMMITS)),
        parts.map(|(report, phase)| in_phase(report, phase, phase.figures.reads, READS)),
    )
}

fn in_run(report: &Report, which: ProbeRequests) -> Option<Answered> {
    let probe = report.postgres.as_ref()?.probe.as_ref()?;
    let requests = which(probe);
    let begun = probe.begun.as_deref();
    Some(Answered {
        count: requests.answered,
        seconds: begun.and_then(|begun| elapsed::seconds(begun, &report.window.end)),
        dispersion: Dispersion::of_intervals(requests.series.iter().map(|step| step.answered)),
        latency: requests.latency,
    })
}

fn in_phase(
    report: &Report,
    phase: &PhaseReport,
    answered: Option<PhaseRequests>,
    which: ProbeRequests,
) -> Option<Answered> {
    let answered = answered?;
    let probe = report.postgres.as_ref().and_then(|one| one.probe.as_ref());
    let steps = probe.into_iter().flat_map(|probe| &which(probe).series);
    let within = steps.filter(|step| {
        let at_s = step.offset_s - phase.offset_s;
        at_s > 0.0 && at_s <= phase.duration_s
    });
    Some(Answered {
        count: answered.answered,
        // Too short for a rate, if it has none.
        seconds: answered.answered_per_s.map(|_| phase.duration_s),
        dispersion: Dispersion::of_intervals(within.map(|step| step.answered)),
        latency: answered.latency,
    })
}

fn figures(commits: [Option<Answered>; 2], reads: [Option<Answered>; 2]) -> Vec<ComparedFigure> {
    let of = Subject::default();
    let mut figures = Vec::new();
    for (timed, repeated, both) in [
        (Timed::ProbeCommit, Repeated::ProbeCommit, commits),
        (Timed::ProbeRead, Repeated::ProbeRead, reads),
    ] {
        let durations = both.map(|one| {
            let one = one?;
            Durations::of_requests(&one.latency, one.count)
        });
        figures.extend(durations::figures(timed, &of, &durations));
        let rates = both.map(|one| one.and_then(rate));
        figures.extend(ComparedFigure::new(
            Metric::Rate(repeated),
            of.clone(),
            rates,
        ));
    }
    figures
}

fn rate(answered: Answered) -> Option<Estimate> {
    let count = answered.dispersion.estimate(answered.count);
    count.per(answered.seconds?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::change::Change;
    use crate::compare::metric::Quantile;

    /// With a probe, and a fault between two phases.
    fn report() -> Report {
        Report::read(include_bytes!("../../tests/data/db1.json")).unwrap()
    }

    #[test]
    fn the_probe_is_compared_as_a_whole_and_by_phase() {
        let report = report();
        let names = |figures: &[ComparedFigure]| -> Vec<String> {
            figures.iter().map(|one| one.metric.to_string()).collect()
        };
        let expected = [
            "probe.commits.p50",
            "probe.commits.p95",
            "probe.commits.p99",
            "probe.commits.max",
            "probe.commits.rate",
            "probe.reads.p50",
            "probe.reads.p95",
            "probe.reads.p99",
            "probe.reads.max",
            "probe.reads.rate",
        ];
        assert_eq!(names(&whole([&report, &report])), expected);
        let of = &report.phases[0];
        assert_eq!(names(&phase([&report, &report], [of, of])), expected);
    }

    #[test]
    fn a_fault_shows_between_its_phase_and_the_one_before() {
        let report = report();
        let figures = phase([&report, &report], [&report.phases[0], &report.phases[1]]);
        let find = |metric| figures.iter().find(|one| one.metric == metric).unwrap();
        let p95 = find(Metric::Took(Timed::ProbeCommit, Quantile::P95));
        assert_eq!(p95.change, Change::Higher, "{p95:?}");
        assert!(p95.ratio.unwrap() > 1_000.0, "{p95:?}");
        // Below the median a report shows nothing.
        let median = find(Metric::Took(Timed::ProbeRead, Quantile::P50));
        assert_eq!(median.change, Change::WithinUncertainty, "{median:?}");
    }

    #[test]
    fn answers_that_came_together_after_a_stall_are_less_certain() {
        let rate = |report: &Report| {
            let figures = whole([report, report]);
            let metric = Metric::Rate(Repeated::ProbeCommit);
            let mut found = figures.iter().filter(|one| one.metric == metric);
            found.next().unwrap().after.unwrap()
        };
        let stalled = report();
        let mut evenly = report();
        let probe = evenly.postgres.as_mut().unwrap().probe.as_mut().unwrap();
        let steps = &mut probe.commits.series;
        let each = steps.iter().map(|step| step.answered).sum::<u64>() / steps.len() as u64;
        steps.iter_mut().for_each(|step| step.answered = each);
        let (stalled, evenly) = (rate(&stalled), rate(&evenly));
        assert_eq!(stalled.value, evenly.value);
        assert!(stalled.at_least < evenly.at_least, "{stalled:?} {evenly:?}");
        assert!(stalled.at_most > evenly.at_most, "{stalled:?} {evenly:?}");
    }

    #[test]
    fn without_a_probe_there_is_nothing() {
        let mut report = report();
        report.postgres.as_mut().unwrap().probe = None;
        assert!(whole([&report, &report]).is_empty());
    }
}
