//! What waits for standbys were made of, by server and standby.

use crate::compare::durations::{self, Durations};
use crate::compare::metric::Timed;
use crate::compare::model::{ComparedFigure, Subject};
use crate::compare::pairing::pairs;
use crate::compare::servers::ComparedServer;
use crate::report::commits::ServerReport;
use crate::report::stages::{Stage, StandbyStages};

/// Of a server. A standby is the same at the same address, or if it alone is left.
pub(super) fn figures(compared: &ComparedServer<'_>) -> Vec<ComparedFigure> {
    let [before, after] = compared.servers.map(standbys);
    let same_address = |one: &StandbyStages, other: &StandbyStages| {
        one.logical == other.logical && one.remote.address == other.remote.address
    };
    let same_sort = |one: &StandbyStages, other: &StandbyStages| one.logical == other.logical;
    let mut figures = Vec::new();
    for pair in pairs(&before, &after, &[&same_address, &same_sort]) {
        let [before, after] = pair;
        let of = Subject {
            server: Some(compared.name.clone()),
            standby: after.or(before).map(|one| one.remote.address),
            ..Subject::default()
        };
        for stage in Stage::ALL {
            let durations = pair.map(|standby| {
                let standby = standby?;
                let took = &standby.stages.of(stage).took;
                Durations::of(took, Some(standby.waits), &[])
            });
            figures.extend(durations::figures(Timed::Stage(stage), &of, &durations));
        }
    }
    figures
}

fn standbys(server: Option<&ServerReport>) -> Vec<&StandbyStages> {
    let standbys = server.into_iter().flat_map(|one| &one.stages.standbys);
    standbys.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::change::Change;
    use crate::report::Report;

    fn server() -> ServerReport {
        let report = Report::read(include_bytes!("../../tests/data/stages.json")).unwrap();
        report.commits.unwrap().servers.remove(0)
    }

    fn compared(before: &ServerReport, after: &ServerReport) -> Vec<ComparedFigure> {
        figures(&ComparedServer {
            name: "port 5432".to_owned(),
            servers: [Some(before), Some(after)],
        })
    }

    #[test]
    fn every_stage_is_compared_with_itself() {
        let server = server();
        let found = compared(&server, &server);
        assert_eq!(found.len(), Stage::COUNT * 4);
        for figure in &found {
            assert_eq!(figure.change, Change::WithinUncertainty, "{figure:?}");
            assert_eq!(figure.after.unwrap().count, 120, "{figure:?}");
            assert_eq!(figure.of.standby, Some("10.0.10.3".parse().unwrap()));
        }
    }

    #[test]
    fn a_standby_that_alone_is_left_is_the_same_at_another_address() {
        let before = server();
        let mut after = server();
        after.stages.standbys[0].remote.address = "10.0.10.9".parse().unwrap();
        let found = compared(&before, &after);
        assert!(
            found
                .iter()
                .all(|one| one.change == Change::WithinUncertainty)
        );
        assert_eq!(found[0].of.standby, Some("10.0.10.9".parse().unwrap()));
        // One that takes decoded changes is another sort of standby.
        after.stages.standbys[0].logical = true;
        let found = compared(&before, &after);
        assert!(found.iter().all(|one| one.change == Change::NotMeasured));
    }
}
