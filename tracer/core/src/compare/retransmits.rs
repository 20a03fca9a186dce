//! What was retransmitted, by kind, role and peer: a second, and per segment that was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tracer_ebpf::RetransmitKind;

use crate::compare::dispersion::Dispersion;
use crate::compare::estimate::Estimate;
use crate::compare::metric::{Metric, Per, RetransmitGroup};
use crate::compare::model::{ComparedFigure, Subject};
use crate::report::phase::{PhaseReport, Rates};
use crate::report::role::Kind;
use crate::report::{ByKind, Report};

/// A group, and to which peer if it is that of one.
type RetransmitKey = (RetransmitGroup, Option<IpAddr>);

/// What a group retransmitted in a part of a run.
#[derive(Debug, Clone, Copy)]
struct CountedGroup {
    segments: u64,
    /// Of how many that were sent; `None` where that is not known.
    sent: Option<u64>,
}

/// What a run retransmitted in a part of it.
#[derive(Debug)]
struct RunRetransmits {
    groups: Vec<(RetransmitKey, CountedGroup)>,
    seconds: f64,
    dispersion: Dispersion,
}

/// Of the whole run.
pub(super) fn whole(reports: [&Report; 2]) -> Vec<ComparedFigure> {
    figures(&reports.map(in_run))
}

/// Of a phase: of how many segments were sent in it, a report says nothing.
pub(super) fn phase(reports: [&Report; 2], phases: [&PhaseReport; 2]) -> Vec<ComparedFigure> {
    let [before, after] = reports;
    figures(&[in_phase(before, phases[0]), in_phase(after, phases[1])])
}

fn figures(runs: &[RunRetransmits; 2]) -> Vec<ComparedFigure> {
    let mut places: Vec<(RetransmitKey, [Option<CountedGroup>; 2])> = Vec::new();
    // Of each peer by itself: a report may have a thousand.
    let mut peers: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for (run, RunRetransmits { groups, .. }) in runs.iter().enumerate() {
        for (key, counted) in groups {
            let known = match key.1 {
                Some(peer) => peers.get(&peer).copied(),
                None => places.iter().position(|(other, _)| other == key),
            };
            let place = known.unwrap_or_else(|| {
                places.push((*key, [None; 2]));
                let place = places.len() - 1;
                peers.extend(key.1.map(|peer| (peer, place)));
                place
            });
            places[place].1[run] = Some(*counted);
        }
    }
    let mut figures = Vec::new();
    for per in [Per::Second, Per::SegmentSent] {
        for ((group, peer), both) in &places {
            let [before, after] = *both;
            let [one, other] = runs;
            let estimates = [(one, before), (other, after)]
                .map(|(run, counted)| counted.and_then(|counted| run.estimate(counted, per)));
            let of = Subject {
                peer: *peer,
                ..Subject::default()
            };
            let metric = Metric::Retransmits(*group, per);
            figures.extend(ComparedFigure::new(metric, of, estimates));
        }
    }
    figures
}

impl RunRetransmits {
    fn estimate(&self, counted: CountedGroup, per: Per) -> Option<Estimate> {
        let segments = self.dispersion.estimate(counted.segments);
        match per {
            Per::Second => segments.per(self.seconds),
            Per::SegmentSent => segments.per(counted.sent? as f64).map(Estimate::of_all),
        }
    }
}

fn in_run(report: &Report) -> RunRetransmits {
    let sent = sent_to_all(report);
    let counted = |segments: u64, sent: Option<u64>| CountedGroup { segments, sent };
    let all = counted(report.selected.segments, sent);
    let mut groups = vec![((RetransmitGroup::All, None), all)];
    groups.extend(by_kind(report).map(|(kind, segments)| {
        let key = (RetransmitGroup::Kind(kind), None);
        (key, counted(segments, sent))
    }));
    let roles = by_role(report);
    let of_replication = roles.iter().filter(|(role, _)| role.is_replication());
    let of_replication: Vec<u64> = of_replication.map(|(_, segments)| *segments).collect();
    if !of_replication.is_empty() {
        let key = (RetransmitGroup::Replication, None);
        groups.push((key, counted(sum(of_replication), None)));
    }
    groups.extend(roles.into_iter().map(|(role, segments)| {
        let key = (RetransmitGroup::Role(role), None);
        (key, counted(segments, None))
    }));
    groups.extend(by_peer(report).into_iter().map(|(peer, segments)| {
        let sent = report.sent.as_ref().and_then(|sent| sent.get(&peer));
        let key = (RetransmitGroup::Peer, Some(peer));
        (key, counted(segments, sent.copied()))
    }));
    RunRetransmits {
        groups,
        seconds: report.window.duration_s,
        dispersion: dispersion(report, 0.0, report.window.duration_s),
    }
}

fn in_phase(report: &Report, phase: &PhaseReport) -> RunRetransmits {
    let mut groups = Vec::new();
    let figures = &phase.figures;
    // A phase that is shorter than an interval holds whatever interval ends in it.
    if figures.selected.per_s.is_some() {
        let mut add = |group: RetransmitGroup, segments: u64| {
            let counted = CountedGroup {
                segments,
                sent: None,
            };
            groups.push(((group, None), counted));
        };
        add(RetransmitGroup::All, figures.selected.segments);
        for (kind, per_s) in figures
            .selected
            .by_kind_per_s
            .iter()
            .flat_map(|all| all.each())
        {
            let segments = (per_s * phase.duration_s).round() as u64;
            add(RetransmitGroup::Kind(kind), segments);
        }
        let some = |rates: Option<Rates>| rates.map(|one| one.segments);
        if let Some(segments) = some(figures.replication) {
            add(RetransmitGroup::Replication, segments);
        }
        if let Some(segments) = some(figures.clients) {
            add(RetransmitGroup::Role(Kind::Client), segments);
        }
    }
    RunRetransmits {
        groups,
        seconds: phase.duration_s,
        dispersion: dispersion(report, phase.offset_s, phase.duration_s),
    }
}

/// How unevenly retransmits came: by interval, all together.
fn dispersion(report: &Report, from_s: f64, length_s: f64) -> Dispersion {
    let listed = report.flows.iter().flat_map(|flow| &flow.series);
    let unlisted = report.unlisted.iter().flat_map(|all| &all.series);
    let steps = listed.chain(unlisted);
    let within = steps.filter(|step| {
        let at_s = step.offset_s - from_s;
        at_s > 0.0 && at_s <= length_s
    });
    let counted = within.map(|step| (step.offset_s, step.segments));
    Dispersion::of(counted, report.request.interval_s, length_s)
}

/// Of counts in a file, which may claim more than can be counted.
fn sum(counts: impl IntoIterator<Item = u64>) -> u64 {
    counts.into_iter().fold(0, u64::saturating_add)
}

fn by_kind(report: &Report) -> impl Iterator<Item = (RetransmitKind, u64)> {
    let of = move |kind: RetransmitKind| {
        let listed = report.flows.iter().map(|flow| &flow.by_kind);
        let unlisted = report.unlisted.iter().map(|all| &all.sums.by_kind);
        sum(listed.chain(unlisted).map(|all: &ByKind| all.of(kind)))
    };
    RetransmitKind::ALL
        .into_iter()
        .map(move |kind| (kind, of(kind)))
}

/// A file of the first version has no sums, and lists every flow.
fn by_role(report: &Report) -> BTreeMap<Kind, u64> {
    let sums = report.by_role.iter();
    let sums = sums.map(|one| (one.role, one.sums.segments));
    let flows = report.flows.iter();
    let flows = flows.map(|one| (one.role.kind, one.segments));
    match report.by_role.is_empty() {
        true => added(flows),
        false => added(sums),
    }
}

/// Likewise.
fn by_peer(report: &Report) -> BTreeMap<IpAddr, u64> {
    let sums = report.by_peer.iter();
    let sums = sums.filter_map(|one| Some((one.peer?, one.sums.segments)));
    let flows = report.flows.iter().filter(|one| one.is_one());
    let flows = flows.map(|one| (one.remote.address, one.segments));
    match report.by_peer.is_empty() {
        true => added(flows),
        false => added(sums),
    }
}

fn added<K: Ord>(counts: impl Iterator<Item = (K, u64)>) -> BTreeMap<K, u64> {
    let mut sums: BTreeMap<K, u64> = BTreeMap::new();
    for (key, count) in counts {
        let all = sums.entry(key).or_default();
        *all = all.saturating_add(count);
    }
    sums
}

/// Segments sent to all peers; `None` unless that is known of each.
fn sent_to_all(report: &Report) -> Option<u64> {
    let sent = report.sent.as_ref()?;
    let peers: Option<BTreeSet<IpAddr>> = report.by_peer.iter().map(|one| one.peer).collect();
    let known = peers?.into_iter().map(|peer| sent.get(&peer).copied());
    let known: Option<Vec<u64>> = known.collect();
    Some(sum(known?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::change::Change;

    /// A primary whose standby's replies were damaged: seven segments retransmitted.
    fn report() -> Report {
        Report::read(include_bytes!("../../tests/data/db1.json")).unwrap()
    }

    fn standby() -> IpAddr {
        "10.0.10.3".parse().unwrap()
    }

    /// As a later version writes it.
    fn with_sent(sent: u64) -> Report {
        let mut report = Report::read(include_bytes!("../../tests/data/stages.json")).unwrap();
        report.sent = Some([(standby(), sent)].into());
        report
    }

    fn value(figures: &[ComparedFigure], name: &str) -> Option<f64> {
        let found = figures.iter().find(|one| one.metric.to_string() == name);
        Some(found?.after?.value)
    }

    #[test]
    fn each_group_has_its_rate() {
        let report = report();
        let figures = whole([&report, &report]);
        let per_s = 7.0 / report.window.duration_s;
        for name in [
            "retransmits.rate",
            "retransmits.replication.rate",
            "retransmits.role.walsender.rate",
            "retransmits.peer.rate",
        ] {
            assert_eq!(value(&figures, name), Some(per_s), "{name}");
        }
        let kinds: f64 = RetransmitKind::ALL
            .iter()
            .filter_map(|kind| value(&figures, &format!("retransmits.{}.rate", kind.name())))
            .sum();
        assert!((kinds - per_s).abs() < 1e-9, "{kinds}");
        assert_eq!(value(&figures, "retransmits.role.etcd.rate"), None);
        let mut peers = figures.iter().filter_map(|one| one.of.peer);
        assert_eq!(peers.next(), Some(standby()));
        // What was sent is in no report of that version.
        assert_eq!(value(&figures, "retransmits.share"), None);
    }

    #[test]
    fn per_segment_sent_where_that_is_known_of_each_peer() {
        let report = with_sent(50);
        let figures = whole([&report, &report]);
        for name in [
            "retransmits.share",
            "retransmits.peer.share",
            "retransmits.tlp.share",
        ] {
            assert_eq!(value(&figures, name), Some(0.02), "{name}");
        }
        let mut another = report.clone();
        another.by_peer[0].peer = Some("10.0.10.9".parse().unwrap());
        let figures = whole([&report, &another]);
        let all = figures
            .iter()
            .find(|one| one.metric.to_string() == "retransmits.share");
        assert_eq!(all.unwrap().change, Change::NotMeasured);
    }

    #[test]
    fn far_more_is_higher_and_a_few_more_are_within_the_uncertainty() {
        let before = report();
        let with = |segments: u64| {
            let mut report = report();
            report.selected.segments = segments;
            let figures = whole([&before, &report]);
            figures[0].change
        };
        assert_eq!(with(9), Change::WithinUncertainty);
        assert_eq!(with(700), Change::Higher);
        assert_eq!(with(0), Change::WithinUncertainty);
    }

    #[test]
    fn phases_have_rates_by_kind_and_none_where_they_are_too_short() {
        let report = report();
        let of = &report.phases[1];
        let figures = phase([&report, &report], [of, of]);
        let rate = 7.0 / of.duration_s;
        assert_eq!(value(&figures, "retransmits.rate"), Some(rate));
        assert_eq!(value(&figures, "retransmits.replication.rate"), Some(rate));
        let tlp = value(&figures, "retransmits.tlp.rate").unwrap();
        assert!((tlp - 6.0 / of.duration_s).abs() < 1e-9, "{tlp}");
        assert_eq!(value(&figures, "retransmits.role.client.rate"), None);
        let mut short = of.clone();
        short.figures.selected.per_s = None;
        assert!(phase([&report, &report], [&short, &short]).is_empty());
    }

    #[test]
    fn a_peer_of_one_run_alone_was_not_measured_in_the_other() {
        let (before, mut after) = (report(), report());
        after.flows[0].remote.address = "10.0.10.9".parse().unwrap();
        let figures = whole([&before, &after]);
        let peers: Vec<_> = figures.iter().filter(|one| one.of.peer.is_some()).collect();
        assert_eq!(peers.len(), 2, "{peers:?}");
        for one in peers {
            assert_eq!(one.change, Change::NotMeasured, "{one:?}");
        }
    }
}
