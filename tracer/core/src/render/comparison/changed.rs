//! Figures that changed by more than the uncertainty, in a sentence each.

use crate::compare::change::Change;
use crate::compare::metric::{Metric, RetransmitGroup};
use crate::compare::model::{ComparedFigure, HostComparison, PartComparison};
use crate::render::comparison::cell::known;
use crate::render::comparison::figures::{is_part, is_telling};
use crate::render::comparison::{phase_name, words};
use crate::report::phase::Name;

/// As many are told; the tables have all.
const MAX_TOLD: usize = 12;

/// Those of the whole run before those of its phases, and of each what commits and retransmits
/// were like before what the commits were made of.
pub(super) fn changed(hosts: &[HostComparison]) -> Vec<String> {
    let parts = hosts.iter().flat_map(|host| {
        let parts = host.parts.iter();
        parts.map(move |part| (host.host.as_deref(), part))
    });
    let told = parts.flat_map(|(host, part)| {
        let figures = part.figures.iter().filter(|one| is_told(one));
        figures.filter_map(move |figure| {
            let place = (part.part != Name::Whole, is_part(figure.metric));
            Some((place, sentence(host, part, figure)?))
        })
    });
    let mut told: Vec<((bool, bool), String)> = told.collect();
    told.sort_by_key(|(place, _)| *place);
    let mut told: Vec<String> = told.into_iter().map(|(_, sentence)| sentence).collect();
    let more = told.len().saturating_sub(MAX_TOLD);
    if more > 0 {
        told.truncate(MAX_TOLD);
        told.push(format!("And {more} more, in the tables."));
    }
    told
}

/// Where there is one connection, its retransmits are those of its peer and its role as well.
fn is_told(figure: &ComparedFigure) -> bool {
    let is_own = match figure.metric {
        Metric::Retransmits(group, _) => {
            matches!(group, RetransmitGroup::All | RetransmitGroup::Kind(_))
        }
        _ => true,
    };
    is_own && is_telling(figure)
}

fn sentence(host: Option<&str>, part: &PartComparison, figure: &ComparedFigure) -> Option<String> {
    let change = match figure.change {
        Change::Higher => "higher",
        Change::Lower => "lower",
        Change::WithinUncertainty | Change::NotMeasured => return None,
    };
    let during = match part.part {
        Name::Whole => String::new(),
        phase => format!(" in the phase {}", phase_name(phase)),
    };
    let [before, after] = [figure.before, figure.after].map(|run| known(run, figure.unit));
    let of = words(host, &figure.of);
    let metric = figure.metric;
    Some(format!(
        "{metric} is {change}{during}: {before} before, {after} after{of}."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::estimate::Estimate;
    use crate::compare::metric::{Per, Quantile, Timed};
    use crate::compare::model::Subject;

    fn figure(metric: Metric, before: u64, after: u64) -> ComparedFigure {
        let both = [before, after].map(|value| Some(Estimate::exact(value)));
        let of = Subject {
            server: Some("port 5432".to_owned()),
            ..Subject::default()
        };
        ComparedFigure::new(metric, of, both).unwrap()
    }

    fn told(part: Name, figures: Vec<ComparedFigure>) -> Vec<String> {
        changed(&[HostComparison {
            host: Some("db1".to_owned()),
            parts: vec![PartComparison {
                part,
                before_s: 1.0,
                after_s: 1.0,
                figures,
            }],
            lone_phases: Vec::new(),
        }])
    }

    #[test]
    fn what_changed_is_told_with_what_it_was_and_is() {
        let p99 = Metric::Took(Timed::Commit, Quantile::P99);
        assert_eq!(
            told(Name::Whole, vec![figure(p99, 2, 30)]),
            [
                "commits.p99 is higher: 2.00 ms before, 30.0 ms after (host db1, server at port 5432)."
            ]
        );
        let found = told(Name::Fault, vec![figure(p99, 30, 2)]);
        assert!(found[0].contains("is lower in the phase fault: 30.0 ms before"));
        assert!(told(Name::Whole, vec![figure(p99, 2, 2)]).is_empty());
    }

    #[test]
    fn retransmits_come_before_what_commits_are_made_of() {
        let flush = Metric::Took(Timed::CommitFlush, Quantile::P50);
        let all = Metric::Retransmits(RetransmitGroup::All, Per::Second);
        let found = told(Name::Whole, vec![figure(flush, 1, 2), figure(all, 1, 2)]);
        assert!(found[0].starts_with("retransmits.rate is higher: 1.00/s before"));
        assert!(found[1].starts_with("commits.flush.p50 is higher"));
    }

    #[test]
    fn retransmits_are_told_once_and_a_long_list_ends() {
        let of = |group| figure(Metric::Retransmits(group, Per::Second), 1, 2);
        let groups = [
            RetransmitGroup::All,
            RetransmitGroup::Replication,
            RetransmitGroup::Peer,
        ];
        let found = told(Name::Whole, groups.map(of).to_vec());
        assert_eq!(found.len(), 1, "{found:?}");
        let p50 = figure(Metric::Took(Timed::Commit, Quantile::P50), 1, 2);
        let found = told(Name::Whole, vec![p50; 15]);
        assert_eq!(found.len(), 13);
        assert_eq!(found[12], "And 3 more, in the tables.");
    }
}
