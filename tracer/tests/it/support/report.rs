//! What the tool says, and whether it agrees with itself.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

/// A report, as any reader of the JSON sees it.
pub(crate) struct Report(Value);

impl Report {
    pub(crate) fn new(json: Value) -> Self {
        Self(json)
    }

    pub(crate) fn at(&self, pointer: &str) -> &Value {
        let found = self.0.pointer(pointer);
        found.unwrap_or_else(|| panic!("the report has no {pointer}"))
    }

    /// A number of the report, by its path: `/totals/segments`.
    pub(crate) fn number(&self, pointer: &str) -> u64 {
        number(self.at(pointer))
    }

    pub(crate) fn flows(&self) -> &[Value] {
        list(self.at("/flows"))
    }

    pub(crate) fn warnings(&self) -> Vec<&str> {
        list(self.at("/warnings"))
            .iter()
            .filter_map(Value::as_str)
            .collect()
    }

    /// What the kernel counted and we did not: to be 0.
    pub(crate) fn difference(&self) -> i64 {
        let difference = self.at("/totals/difference").as_i64();
        difference.unwrap_or_else(|| panic!("nothing to compare with: {:?}", self.warnings()))
    }

    /// The sums agree with each other, and with the kernel's.
    pub(crate) fn check(&self) {
        self.check_sums();
        assert_eq!(self.difference(), 0, "{:?}", self.warnings());
    }

    /// The sums agree with each other.
    pub(crate) fn check_sums(&self) {
        let totals = self.at("/totals");
        assert_eq!(sum(&totals["by_kind"]), self.number("/totals/segments"));
        let failed = self.number("/totals/failed_segments");
        assert_eq!(sum(&totals["failed_by_kind"]), failed);
        for what in ["segments", "events", "bytes"] {
            let flows: u64 = self.flows().iter().map(|flow| number(&flow[what])).sum();
            assert_eq!(flows, self.number(&format!("/selected/{what}")), "{what}");
            assert!(flows <= number(&totals[what]), "{what}");
        }
        let namespaces = list(self.at("/namespaces")).iter();
        let namespaces: u64 = namespaces.map(|one| number(&one["segments"])).sum();
        assert_eq!(namespaces, self.number("/totals/segments"));
        for flow in self.flows() {
            check_flow(flow);
        }
        for gap in ["sockets_full", "namespaces_full", "reads_failed"] {
            assert_eq!(self.number(&format!("/gaps/{gap}")), 0, "{gap}");
        }
    }

    /// Everything was kept by the filter.
    pub(crate) fn check_all_selected(&self) {
        for what in ["segments", "events", "bytes"] {
            let all = self.number(&format!("/totals/{what}"));
            assert_eq!(self.number(&format!("/selected/{what}")), all, "{what}");
        }
    }
}

fn check_flow(flow: &Value) {
    assert_eq!(sum(&flow["by_kind"]), number(&flow["segments"]), "{flow}");
    // What the table had no room for has no intervals.
    if flow["netns"].is_null() {
        return;
    }
    let series = list(&flow["series"]);
    for what in ["segments", "events", "bytes"] {
        let steps: u64 = series.iter().map(|step| number(&step[what])).sum();
        assert_eq!(steps, number(&flow[what]), "{what} of {flow}");
    }
    let kinds = flow["by_kind"].as_object().unwrap();
    for (kind, segments) in kinds {
        let steps: u64 = series
            .iter()
            .map(|step| number(&step["by_kind"][kind]))
            .sum();
        assert_eq!(steps, number(segments), "{kind} of {flow}");
    }
}

/// One end of a flow.
pub(crate) fn endpoint(end: &Value) -> SocketAddr {
    let address: IpAddr = end["address"].as_str().unwrap().parse().unwrap();
    SocketAddr::new(address, number(&end["port"]).try_into().unwrap())
}

pub(crate) fn number(value: &Value) -> u64 {
    let number = value.as_u64();
    number.unwrap_or_else(|| panic!("{value} is no count"))
}

fn sum(by_kind: &Value) -> u64 {
    by_kind.as_object().unwrap().values().map(number).sum()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}
