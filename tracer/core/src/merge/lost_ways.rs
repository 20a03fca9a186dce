//! Which of the two ways between a primary and its standby lost more, by what both of them
//! retransmitted.

use crate::evidence::loss_episode::LOSSES;
use crate::report::finding::Way;
use crate::report::role::Kind;
use crate::report::{FlowReport, Report};

/// What one end retransmitted because of losses.
#[derive(Debug, Clone, Copy, Default)]
struct Retransmitted {
    segments: u64,
    /// Of which the other end had as many already: their acknowledgements were lost.
    spurious: u64,
    /// Whether the other end told of more than were retransmitted: the path duplicates, and what
    /// it tells shows nothing.
    is_duplicated: bool,
}

impl Retransmitted {
    /// On the replication of a host in this role.
    fn of(report: &Report, kind: Kind) -> Self {
        let flows = report.flows.iter().filter(|flow| flow.role.kind == kind);
        flows.fold(Self::default(), |sum, flow| {
            let of_kinds = LOSSES.map(|kind| flow.by_kind.of(kind));
            let segments = of_kinds.into_iter().fold(0, u64::saturating_add);
            let spurious = spurious(flow);
            Self {
                segments: sum.segments.saturating_add(segments),
                spurious: sum.spurious.saturating_add(spurious.min(segments)),
                is_duplicated: sum.is_duplicated || spurious > segments,
            }
        })
    }
}

/// What the peer of a flow told that it had already.
fn spurious(flow: &FlowReport) -> u64 {
    let readings = flow.path.iter().flat_map(|path| &path.series);
    let mut told = readings.filter_map(|one| one.dsack_dups);
    let first = told.next().unwrap_or(0);
    u64::from(told.next_back().unwrap_or(first).saturating_sub(first))
}

/// The way that lost more; `None` if neither did. What one end retransmitted was lost on its way,
/// or its acknowledgement was on the way back.
pub(crate) fn worse(primary: &Report, standby: &Report) -> Option<Way> {
    let there = Retransmitted::of(primary, Kind::Walsender);
    let back = Retransmitted::of(standby, Kind::Walreceiver);
    let (to_standby, from_standby) = match there.is_duplicated || back.is_duplicated {
        true => (there.segments, back.segments),
        false => (
            there
                .segments
                .saturating_sub(there.spurious)
                .saturating_add(back.spurious),
            back.segments
                .saturating_sub(back.spurious)
                .saturating_add(there.spurious),
        ),
    };
    match to_standby.cmp(&from_standby) {
        std::cmp::Ordering::Greater => Some(Way::ToStandby),
        std::cmp::Ordering::Less => Some(Way::FromStandby),
        std::cmp::Ordering::Equal => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two hosts' reports, in which each end retransmitted so much, and its peer had so much of it.
    fn worse_of(there: (u64, u32), back: (u64, u32)) -> Option<Way> {
        let mut reports = [
            Report::read(include_bytes!("../../tests/data/db1.json")).unwrap(),
            Report::read(include_bytes!("../../tests/data/db2.json")).unwrap(),
        ];
        for (report, (segments, spurious)) in reports.iter_mut().zip([there, back]) {
            let flow = &mut report.flows[0];
            flow.by_kind = Default::default();
            flow.by_kind.rto = segments;
            let readings = &mut flow.path.as_mut().unwrap().series;
            readings.iter_mut().for_each(|one| one.dsack_dups = Some(4));
            readings.last_mut().unwrap().dsack_dups = Some(4 + spurious);
        }
        worse(&reports[0], &reports[1])
    }

    #[test]
    fn what_was_retransmitted_in_vain_was_lost_the_other_way() {
        assert_eq!(worse_of((20, 1), (5, 3)), Some(Way::ToStandby));
        assert_eq!(worse_of((6, 5), (5, 0)), Some(Way::FromStandby));
        assert_eq!(worse_of((12, 11), (57, 0)), Some(Way::FromStandby));
        assert_eq!(worse_of((0, 0), (0, 0)), None);
    }

    #[test]
    fn a_path_that_duplicates_tells_nothing_of_what_was_in_vain() {
        assert_eq!(worse_of((1, 11), (58, 31)), Some(Way::FromStandby));
        assert_eq!(worse_of((1, 1), (58, 31)), Some(Way::ToStandby));
    }
}
