//! What the tool says, and whether it agrees with itself.

use std::net::SocketAddr;
use std::ops::Deref;

use anyhow::Result;
use tracer_core::by_kind::Kinds;
use tracer_core::report::aggregate::FlowSums;
use tracer_core::report::fault::FaultReport;
use tracer_core::report::{self, FlowReport, Selected};

use crate::contract;

/// A report, as `tracer report` reads it.
#[derive(Debug)]
pub(crate) struct Report(report::Report);

impl Deref for Report {
    type Target = report::Report;

    fn deref(&self) -> &report::Report {
        &self.0
    }
}

impl Report {
    /// Reads what this version wrote.
    pub(crate) fn read(json: &[u8]) -> Result<Self> {
        Ok(Self(contract::read(json)?))
    }

    pub(crate) fn warned(&self, words: &str) -> bool {
        self.warnings.iter().any(|text| text.contains(words))
    }

    /// The fault of a run that made one.
    pub(crate) fn fault(&self) -> &FaultReport {
        let [fault] = &self.faults[..] else {
            panic!("not one fault: {:?}", self.faults)
        };
        &fault.fault
    }

    /// What the kernel counted and we did not: to be 0.
    pub(crate) fn difference(&self) -> i64 {
        let difference = self.totals.difference;
        difference.unwrap_or_else(|| panic!("nothing to compare with: {:?}", self.warnings))
    }

    /// The sums agree with each other, and with the kernel's.
    pub(crate) fn check(&self) {
        self.check_sums();
        assert_eq!(self.difference(), 0, "{:?}", self.warnings);
    }

    /// The sums agree with each other, and every socket was remembered.
    pub(crate) fn check_sums(&self) {
        self.check_sums_beyond_room();
        assert_eq!(self.gaps.sockets_full, 0);
    }

    /// The sums agree with each other, also where there were too many sockets.
    pub(crate) fn check_sums_beyond_room(&self) {
        let totals = &self.totals;
        assert_eq!(sum(&totals.by_kind), totals.segments);
        assert_eq!(sum(&totals.failed_by_kind), totals.failed_segments);
        let selected = &self.selected;
        let unlisted = self.unlisted.as_ref().map(|all| all.sums);
        let unlisted = unlisted.unwrap_or_default();
        let of_flows = |of: fn(&FlowReport) -> u64| of_each(&self.flows, of);
        let flows = Selected {
            segments: of_flows(|one| one.segments) + unlisted.segments,
            events: of_flows(|one| one.events) + unlisted.events,
            bytes: of_flows(|one| one.bytes) + unlisted.bytes,
        };
        assert_eq!(&flows, selected);
        let flows = of_flows(|one| one.is_one().into()) + self.unlisted_count();
        check_added_up(self.by_peer.iter().map(|one| &one.sums), flows, selected);
        check_added_up(self.by_role.iter().map(|one| &one.sums), flows, selected);
        assert!(selected.segments <= totals.segments);
        assert!(selected.events <= totals.events);
        assert!(selected.bytes <= totals.bytes);
        let namespaces = of_each(&self.namespaces, |one| one.segments);
        assert_eq!(namespaces, totals.segments);
        self.flows.iter().for_each(check_flow);
        let gaps = &self.gaps;
        assert_eq!((gaps.namespaces_full, gaps.reads_failed), (0, 0));
    }

    /// Everything was kept by the filter.
    pub(crate) fn check_all_selected(&self) {
        let (totals, selected) = (&self.totals, &self.selected);
        assert_eq!(selected.segments, totals.segments);
        assert_eq!(selected.events, totals.events);
        assert_eq!(selected.bytes, totals.bytes);
    }
}

/// The events of a run, replayed, tell of this flow what the run itself did.
pub(crate) fn check_replayed(live: &FlowReport, replayed: &FlowReport) {
    let figures = |flow: &FlowReport| {
        (
            (ends(flow), flow.segments, flow.by_kind),
            (flow.events, flow.bytes, flow.fin, flow.cwnd),
            (flow.srtt_us, flow.rto_ms, flow.rto_max_ms, flow.backoff_max),
        )
    };
    assert_eq!(figures(live), figures(replayed));
}

fn check_added_up<'a>(sums: impl Iterator<Item = &'a FlowSums>, flows: u64, selected: &Selected) {
    let (mut all, mut count) = (Selected::default(), 0);
    for one in sums {
        assert_eq!(sum(&one.by_kind), one.segments, "{one:?}");
        all.segments += one.segments;
        all.events += one.events;
        all.bytes += one.bytes;
        count += one.flows.unwrap_or(0);
    }
    assert_eq!((&all, count), (selected, flows));
}

fn check_flow(flow: &FlowReport) {
    assert_eq!(sum(&flow.by_kind), flow.segments, "{flow:?}");
    // What the table had no room for has no intervals.
    if flow.netns.is_none() {
        return;
    }
    let series = &flow.series;
    assert_eq!(of_each(series, |one| one.segments), flow.segments);
    assert_eq!(of_each(series, |one| one.events), flow.events);
    assert_eq!(of_each(series, |one| one.bytes), flow.bytes);
    for (at, (kind, segments)) in flow.by_kind.each().into_iter().enumerate() {
        let steps = of_each(series, |one| one.by_kind.each()[at].1);
        assert_eq!(steps, segments, "{kind:?} of {flow:?}");
    }
}

fn of_each<T>(all: &[T], count: impl Fn(&T) -> u64) -> u64 {
    all.iter().map(count).sum()
}

/// Both ends of a flow.
pub(crate) fn ends(flow: &FlowReport) -> (SocketAddr, SocketAddr) {
    (flow.local.socket(), flow.remote.socket())
}

pub(crate) fn sum(by_kind: &Kinds<u64>) -> u64 {
    by_kind.each().map(|(_, segments)| segments).iter().sum()
}
