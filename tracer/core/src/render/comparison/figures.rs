//! Figures of two runs side by side: a table for what belongs together.

use std::cmp::Reverse;
use std::net::IpAddr;

use crate::compare::change::Change;
use crate::compare::estimate::Estimate;
use crate::compare::metric::{Metric, Per, Quantile, Repeated, RetransmitGroup, Timed};
use crate::compare::model::{ComparedFigure, PartComparison};
use crate::render::comparison::cell::{cell, digits};
use crate::render::document::{Block, Table};
use crate::report::role::Kind;

/// As many peers are shown; the JSON has all.
const MAX_PEERS: usize = 10;

/// As much of an address a table has room for.
const MAX_ADDRESS: usize = 18;

/// Figures that belong together, under their heading.
pub(super) struct FigureGroup {
    pub(super) heading: String,
    pub(super) blocks: Vec<Block>,
}

/// The groups of a part, in the order of its figures.
pub(super) fn groups(part: &PartComparison) -> Vec<FigureGroup> {
    let mut groups: Vec<(String, Vec<&ComparedFigure>)> = Vec::new();
    for figure in &part.figures {
        let heading = heading(figure);
        match groups.iter_mut().find(|(other, _)| *other == heading) {
            Some((_, figures)) => figures.push(figure),
            None => groups.push((heading, vec![figure])),
        }
    }
    let groups = groups.into_iter().filter_map(|(heading, figures)| {
        let blocks = blocks(&figures);
        (!blocks.is_empty()).then_some(FigureGroup { heading, blocks })
    });
    groups.collect()
}

fn blocks(figures: &[&ComparedFigure]) -> Vec<Block> {
    let shown = figures.iter().copied();
    let shown = shown.filter(|one| is_measured(one) && is_telling(one));
    let (mut peers, others): (Vec<&ComparedFigure>, Vec<&ComparedFigure>) =
        shown.partition(|one| one.of.peer.is_some());
    peers.sort_by_key(|one| Reverse(segments(one)));
    let mut table = Table::new("Figure | >Before | >After | >Ratio | Change");
    for figure in others.iter().chain(peers.iter().take(MAX_PEERS)) {
        table.row(row(figure));
    }
    let mut blocks = Vec::new();
    if !table.rows.is_empty() {
        blocks.push(Block::Table(table));
    }
    let more = peers.len().saturating_sub(MAX_PEERS);
    if more > 0 {
        blocks.push(Block::Text(format!("And {more} more peers, in the JSON.")));
    }
    // Of what one run alone has, nothing is to be seen but that.
    if !figures.iter().any(|one| is_measured(one)) {
        blocks.extend(lone(figures));
    }
    blocks
}

/// That it was measured in one of the runs alone.
fn lone(figures: &[&ComparedFigure]) -> Option<Block> {
    let is_before = figures.iter().any(|one| one.before.is_some());
    let is_after = figures.iter().any(|one| one.after.is_some());
    let text = match (is_before, is_after) {
        (true, false) => "Measured before alone.",
        (false, true) => "Measured after alone.",
        _ => return None,
    };
    Some(Block::Text(text.to_owned()))
}

fn is_measured(figure: &ComparedFigure) -> bool {
    figure.change != Change::NotMeasured
}

/// Whether it tells anything beside the others: of stages and parts, the median and p99 do. What
/// was nothing before and after does not, but that nothing was retransmitted does.
pub(super) fn is_telling(figure: &ComparedFigure) -> bool {
    let is_detail = is_part(figure.metric)
        && matches!(
            figure.metric,
            Metric::Took(_, Quantile::P95 | Quantile::Largest)
        );
    let both = [figure.before, figure.after];
    let is_something = both.iter().flatten().any(|one| one.value > 0.0);
    let is_all = matches!(figure.metric, Metric::Retransmits(RetransmitGroup::All, _));
    (is_something || is_all) && !is_detail
}

/// Whether it is of what commits, or WAL on its way, are made of.
pub(super) const fn is_part(metric: Metric) -> bool {
    match metric {
        Metric::Took(timed, _) => {
            !matches!(timed, Timed::Commit | Timed::ProbeCommit | Timed::ProbeRead)
        }
        _ => false,
    }
}

/// In both runs.
fn segments(figure: &ComparedFigure) -> u64 {
    let both = [figure.before, figure.after];
    let counts = both.iter().flatten().map(|one| one.count);
    counts.fold(0, u64::saturating_add)
}

fn row(figure: &ComparedFigure) -> [String; 5] {
    let shown = |estimate: Option<Estimate>| match estimate {
        Some(estimate) => cell(&estimate, figure.unit),
        None => "-".to_owned(),
    };
    [
        name(figure),
        shown(figure.before),
        shown(figure.after),
        figure.ratio.map_or_else(|| "-".to_owned(), digits),
        change(figure.change).to_owned(),
    ]
}

/// What became of it, in a word that a table has room for.
pub(super) const fn change(change: Change) -> &'static str {
    match change {
        Change::Higher => "higher",
        Change::Lower => "lower",
        Change::WithinUncertainty => "within",
        Change::NotMeasured => "-",
    }
}

/// An address, of a long one the end: peers on one network begin alike, and no table has room
/// for all of it. The JSON has it.
fn short(address: IpAddr) -> String {
    let address = address.to_string();
    match address.len().checked_sub(MAX_ADDRESS) {
        Some(surplus @ 1..) => format!("…{}", address.get(surplus + 1..).unwrap_or_default()),
        _ => address,
    }
}

/// What a group of figures is called.
fn heading(figure: &ComparedFigure) -> String {
    let server = figure.of.server.as_deref().unwrap_or("?");
    match figure.metric {
        Metric::Took(Timed::Stage(_), _) => {
            let standby = figure.of.standby;
            let standby = standby.map_or_else(|| "?".to_owned(), |one| one.to_string());
            format!("Waits of the server at {server} for its standby at {standby}")
        }
        Metric::Took(Timed::Standby(_), _) => {
            format!("WAL that the standby at {server} received")
        }
        Metric::Took(Timed::ProbeCommit | Timed::ProbeRead, _)
        | Metric::Rate(Repeated::ProbeCommit | Repeated::ProbeRead) => "The probe".to_owned(),
        Metric::Took(..) | Metric::Rate(_) | Metric::SlowShare => {
            format!("Commits of the server at {server}")
        }
        Metric::Retransmits(_, Per::Second) => "Retransmitted segments, a second".to_owned(),
        Metric::Retransmits(_, Per::SegmentSent) => {
            "Retransmitted segments, of those that were sent".to_owned()
        }
        Metric::Findings | Metric::FindingsCame => "Findings".to_owned(),
    }
}

/// What a figure is called within its group.
fn name(figure: &ComparedFigure) -> String {
    match figure.metric {
        Metric::Took(timed, quantile) => {
            let quantile = match quantile {
                Quantile::Largest => "largest",
                other => other.name(),
            };
            let part = match timed {
                Timed::Commit => return quantile.to_owned(),
                Timed::CommitFlush => "flush",
                Timed::CommitWait => "wait",
                Timed::CommitRest => "rest",
                Timed::Stage(stage) => stage.name(),
                Timed::Standby(stage) => stage.name(),
                Timed::ProbeCommit => "commits",
                Timed::ProbeRead => "reads",
            };
            format!("{part}, {quantile}")
        }
        Metric::Rate(Repeated::Commit) => "a second".to_owned(),
        Metric::Rate(Repeated::SlowCommit) => "slow, a second".to_owned(),
        Metric::Rate(Repeated::ProbeCommit) => "commits, a second".to_owned(),
        Metric::Rate(Repeated::ProbeRead) => "reads, a second".to_owned(),
        Metric::SlowShare => "slow, of all".to_owned(),
        Metric::Retransmits(group, _) => match group {
            RetransmitGroup::All => "all".to_owned(),
            RetransmitGroup::Kind(kind) => kind.name().to_owned(),
            RetransmitGroup::Replication => "replication".to_owned(),
            // A kind has that name, too.
            RetransmitGroup::Role(Kind::Other) => "other roles".to_owned(),
            RetransmitGroup::Role(role) => role.to_string(),
            RetransmitGroup::Peer => {
                let peer = figure.of.peer.map(|peer| format!("to {}", short(peer)));
                peer.unwrap_or_else(|| "to ?".to_owned())
            }
        },
        Metric::Findings | Metric::FindingsCame => figure.metric.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_address_the_end_is_shown() {
        for (address, expected) in [
            ("192.168.100.200", "192.168.100.200"),
            ("fd00:10::3", "fd00:10::3"),
            ("fd00:1234:56::789a", "fd00:1234:56::789a"),
            (
                "fd00:1234:5678:9abc:def0:1234:5678:9abc",
                "…f0:1234:5678:9abc",
            ),
        ] {
            assert_eq!(short(address.parse().unwrap()), expected);
        }
    }
}
