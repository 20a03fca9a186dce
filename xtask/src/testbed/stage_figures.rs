//! How long each stage of a commit took, as two hosts' reports together say: of all commits, and
//! of the slow ones.

use tracer_core::merge::model::Merged;
use tracer_core::report::commits::{CommitsReport, ServerReport};
use tracer_core::report::histogram::PartQuantiles;
use tracer_core::report::stages::{AwaitedPosition, StandbyStages};
use tracer_core::report::walreceiver::WalreceiverReport;

use crate::testbed::figure_table::FigureTable;

/// Each stage, in the order in which they come.
const STAGES: [&str; 11] = [
    "WAL flush",
    "handover",
    "network",
    "read",
    "write",
    "standby flush",
    "reply",
    "replay",
    "release",
    "wakeup",
    "unexplained",
];

/// A table for [`add_stages`]; its figures are ms, unless they are counts of commits.
pub(crate) fn stage_table(first: &str) -> FigureTable {
    FigureTable::with_columns([first, "of", "commits"].into_iter().chain(STAGES))
}

/// Adds the medians of all commits of the primary that waited for a standby, and the means of
/// its slow ones that were followed through both hosts: what their stages were one by one is not
/// known there. A dash is what was not measured.
pub(crate) fn add_stages(table: &mut FigureTable, name: &str, merged: &Merged) {
    let Some(primary) = Primary::of(merged) else {
        return;
    };
    let usual = primary.usual().map(figure);
    let of = ["median".to_owned(), primary.standby.waits.to_string()];
    table.row(name, of.into_iter().chain(usual));
    if let Some((commits, means)) = primary.slow(merged) {
        let of = ["mean of slow".to_owned(), commits.to_string()];
        let means = means.map(|ms| figure(Some(ms)));
        table.row("", of.into_iter().chain(means));
    }
}

fn figure(ms: Option<f64>) -> String {
    match ms {
        Some(ms) if ms >= 100.0 => format!("{ms:.0}"),
        Some(ms) if ms >= 10.0 => format!("{ms:.1}"),
        Some(ms) => format!("{ms:.2}"),
        None => "–".to_owned(),
    }
}

/// The server whose commits waited most often, and the standby that most of them waited for.
struct Primary<'a> {
    commits: &'a CommitsReport,
    server: &'a ServerReport,
    standby: &'a StandbyStages,
    /// Of the other host.
    receiver: Option<&'a WalreceiverReport>,
}

impl<'a> Primary<'a> {
    fn of(merged: &'a Merged) -> Option<Self> {
        let [one, two] = merged.reports.each_ref().map(|one| one.commits.as_ref());
        let on = |commits: Option<&'a CommitsReport>, other: Option<&'a CommitsReport>| {
            let servers = commits.into_iter().flat_map(|one| &one.servers);
            let standbys = servers.flat_map(|server| {
                let standbys = server.stages.standbys.iter();
                standbys.map(move |standby| (server, standby))
            });
            let (server, standby) = standbys.max_by_key(|(_, one)| one.waits)?;
            let receivers = other.into_iter().flat_map(|one| &one.walreceivers);
            Some(Self {
                commits: commits?,
                server,
                standby,
                receiver: receivers.max_by_key(|one| one.messages),
            })
        };
        let both = [on(one, two), on(two, one)];
        let both = both.into_iter().flatten();
        both.max_by_key(|one| one.standby.waits)
    }

    /// The median of each stage. What was on neither host is what is left of the medians.
    fn usual(&self) -> [Option<f64>; STAGES.len()] {
        let median = |of: &PartQuantiles| of.part.p50_ms;
        let own = &self.standby.stages;
        let there = self.receiver.filter(|one| one.measured);
        let there = there.map(|one| &one.stages);
        let standby = there.map(|of| [&of.read, &of.write, &of.flush, &of.reply].map(median));
        let on_standby = standby.map(|all| all.into_iter().flatten().sum::<f64>());
        let beyond = [&own.acknowledged, &own.remote].map(|one| median(&one.took));
        let beyond: f64 = beyond.into_iter().flatten().sum();
        let [read, write, flush, reply] = standby.unwrap_or_default();
        [
            median(&self.server.flush),
            median(&own.handover.took),
            on_standby.map(|on_standby| (beyond - on_standby).max(0.0)),
            read,
            write,
            flush,
            reply,
            there
                .filter(|_| self.awaits_replay())
                .and_then(|of| median(&of.apply)),
            median(&own.release.took),
            median(&own.wakeup.took),
            median(&own.unexplained.took),
        ]
    }

    /// WAL is replayed whether or not a commit waits for that.
    fn awaits_replay(&self) -> bool {
        let mut slow = self.commits.slow.iter();
        slow.any(|one| one.awaited == Some(AwaitedPosition::Apply))
    }

    /// How many slow commits were followed through both hosts, and the mean of each of their
    /// stages.
    fn slow(&self, merged: &Merged) -> Option<(u64, [f64; STAGES.len()])> {
        let journeys = merged.journeys.iter();
        let own = journeys.filter(|one| one.server_pid == self.server.pid);
        let journey = own.max_by_key(|one| one.followed())?;
        let of = &journey.stages_ms;
        let slow = self.commits.slow.iter();
        let slow = slow.filter(|one| one.server_pid == self.server.pid && one.stages_ms.is_some());
        let flushes: Vec<f64> = slow.map(|one| one.flush_ms).collect();
        let mean = |sum: f64| sum / journey.followed() as f64;
        Some((
            journey.followed(),
            [
                flushes.iter().sum::<f64>() / flushes.len().max(1) as f64,
                mean(of.handover),
                mean(of.network()),
                mean(of.standby_read),
                mean(of.standby_write),
                mean(of.standby_flush),
                mean(of.standby_reply),
                mean(of.standby_apply),
                mean(of.release),
                mean(of.wakeup),
                mean(of.unexplained),
            ],
        ))
    }
}

#[cfg(test)]
mod tests {
    use tracer_core::merge::journey::{Journey, JourneyStages};
    use tracer_core::report::Report;
    use tracer_core::report::endpoint::Endpoint;

    use super::*;
    use crate::testbed::sample_report;

    /// A primary, and a standby of which nothing is known.
    fn merged() -> Merged {
        let bytes = include_bytes!("../../../tracer/core/tests/data/stages.json");
        let mut merged = sample_report::merged();
        merged.reports[0].commits = Report::read(bytes).unwrap().commits;
        merged
    }

    fn rows(merged: &Merged) -> Vec<Vec<String>> {
        let mut table = stage_table("fault");
        add_stages(&mut table, "none", merged);
        let text = table.markdown();
        let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect();
        text.lines().skip(2).map(cells).collect()
    }

    #[test]
    fn what_is_usual_is_known_of_the_host_that_was_watched() {
        let rows = rows(&merged());
        let [row] = &rows[..] else {
            panic!("{rows:?}");
        };
        assert_eq!(
            row[1..],
            [
                "none", "median", "120", "0.16", "0.01", "–", "–", "–", "–", "–", "–", "0.02",
                "0.02", "0.00", ""
            ]
        );
    }

    #[test]
    fn slow_ones_are_told_by_their_mean() {
        let mut merged = merged();
        let server = merged.reports[0].commits.as_ref().unwrap().servers[0].pid;
        merged.journeys = vec![Journey {
            host: "db1".to_owned(),
            server_pid: server,
            standby: Endpoint {
                address: [10, 0, 10, 3].into(),
                port: 5432,
            },
            commits: 4,
            waited_ms: 5_000.0,
            joined: 3,
            quick: 1,
            apart: 0,
            apart_off_by_ms: None,
            not_apart: None,
            stages_ms: JourneyStages {
                network_out: 400.0,
                between: 40.0,
                network_back: 4.0,
                standby_flush: 50.0,
                ..JourneyStages::default()
            },
        }];
        let rows = rows(&merged);
        let slow = &rows[1];
        assert_eq!(slow[2..4], ["mean of slow", "4"]);
        assert_eq!(slow[6..10], ["111", "0.00", "0.00", "12.5"]);
    }
}
