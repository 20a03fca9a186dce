//! Reports for tests.

use tracer_core::merge::model::Merged;
use tracer_core::report::{Fault, Overhead, Report, Resets, TotalsReport};

/// One with everything that there is.
pub(crate) fn full() -> Report {
    Report::read(include_bytes!("../../../tracer/core/tests/data/db1.json")).unwrap()
}

/// Of two hosts.
pub(crate) fn merged() -> Merged {
    let of = |bytes| Report::read(bytes).unwrap();
    let both = [
        full(),
        of(include_bytes!("../../../tracer/core/tests/data/db2.json")),
    ];
    tracer_core::merge::merge(both, ["db1", "db2"]).unwrap()
}

/// One in which nothing was seen, found or measured.
pub(crate) fn empty() -> Report {
    let full = full();
    Report {
        findings: Vec::new(),
        phases: Vec::new(),
        faults: Vec::new(),
        totals: TotalsReport::default(),
        flows: Vec::new(),
        namespaces: Vec::new(),
        postgres: None,
        commits: None,
        processors: None,
        resets: Resets::default(),
        overhead: Overhead::default(),
        ..full
    }
}

/// A fault from one of these times to the other.
pub(crate) fn fault(started: &str, ended: &str) -> Fault {
    let bytes = include_bytes!("../../../tracer/core/tests/data/db2.json");
    let mut faults = Report::read(bytes).unwrap().faults;
    Fault {
        started: started.to_owned(),
        ended: ended.to_owned(),
        ..faults.remove(0)
    }
}
