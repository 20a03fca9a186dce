//! What became of the WAL that standbys on a host received.

use crate::compare::durations::{self, Durations};
use crate::compare::metric::Timed;
use crate::compare::model::{ComparedFigure, Subject};
use crate::compare::pairing::pairs;
use crate::compare::servers;
use crate::report::Report;
use crate::report::walreceiver::{ReceiverStage, WalreceiverReport};

/// Of the whole run. A standby is the same that receives from the same primary, or that alone
/// is left.
pub(super) fn whole(reports: [&Report; 2]) -> Vec<ComparedFigure> {
    let [before, after] = reports.map(standbys);
    let same_primary = |one: &WalreceiverReport, other: &WalreceiverReport| {
        one.remote.is_some() && one.remote == other.remote
    };
    let any = |_: &WalreceiverReport, _: &WalreceiverReport| true;
    let mut figures = Vec::new();
    for pair in pairs(&before, &after, &[&same_primary, &any]) {
        let name = match pair {
            [_, Some(one)] => name(reports[1], one),
            [Some(one), None] => name(reports[0], one),
            [None, None] => continue,
        };
        let of = Subject {
            server: Some(name),
            ..Subject::default()
        };
        for stage in ReceiverStage::ALL {
            // Messages whose stage was not seen whole are not in it: how many that were, only
            // its counters say.
            let durations = pair.map(|one| Durations::of(one?.stages.of(stage), None, &[]));
            figures.extend(durations::figures(Timed::Standby(stage), &of, &durations));
        }
    }
    figures
}

fn standbys(report: &Report) -> Vec<&WalreceiverReport> {
    let standbys = report.commits.iter().flat_map(|one| &one.walreceivers);
    standbys.filter(|one| one.messages > 0).collect()
}

fn name(report: &Report, standby: &WalreceiverReport) -> String {
    let mut servers = report.commits.iter().flat_map(|one| &one.servers);
    let server = servers.find(|one| one.pid == standby.server_pid);
    server.map_or_else(|| format!("pid {}", standby.server_pid), servers::name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::change::Change;
    use crate::compare::metric::{Metric, Quantile};
    use crate::report::histogram::Histogram;
    use crate::report::walreceiver::ByReceiverStage;

    /// A standby that took so many µs to flush each message.
    fn report(flush_us: impl Iterator<Item = u64>) -> Report {
        let mut report = Report::read(include_bytes!("../../tests/data/stages.json")).unwrap();
        let mut flush = Histogram::empty();
        flush_us.for_each(|us| flush.add(us * 1_000));
        let commits = report.commits.as_mut().unwrap();
        commits.walreceivers = vec![WalreceiverReport {
            server_pid: 812,
            pid: Some(815),
            connections: 1,
            local: None,
            remote: None,
            measured: true,
            reason: None,
            hooks: Vec::new(),
            messages: flush.count(),
            bytes: 600,
            from_lsn: None,
            to_lsn: None,
            stages: ByReceiverStage::new(|stage| match stage {
                ReceiverStage::Flush => flush.quantiles(),
                _ => Histogram::empty().quantiles(),
            }),
            slowest: Vec::new(),
            exchanges: Default::default(),
        }];
        report
    }

    #[test]
    fn a_standby_that_became_slow_to_flush_is_seen_in_that_stage_alone() {
        let (quick, slow) = (200..300, 20_000..20_100);
        let figures = whole([&report(quick), &report(slow)]);
        assert_eq!(figures.len(), 4, "{figures:?}");
        for figure in &figures {
            let Metric::Took(timed, quantile) = figure.metric else {
                panic!("{figure:?}");
            };
            assert_eq!(timed, Timed::Standby(ReceiverStage::Flush));
            assert_eq!(figure.of.server.as_deref(), Some("pid 812"));
            let expected = match quantile {
                Quantile::P50 | Quantile::P95 => Change::Higher,
                // Of a hundred messages p99 has no upper bound.
                Quantile::P99 | Quantile::Largest => Change::WithinUncertainty,
            };
            assert_eq!(figure.change, expected, "{figure:?}");
        }
    }
}
