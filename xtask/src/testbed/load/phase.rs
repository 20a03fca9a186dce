//! Stretches of a run: before, during and after the fault.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::{Value, json};
use tracer_core::report::Report;

/// A stretch of time under the same conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) start: SystemTime,
    /// The first moment after it.
    pub(crate) end: SystemTime,
}

impl Phase {
    pub(crate) fn contains(&self, moment: SystemTime) -> bool {
        self.start <= moment && moment < self.end
    }

    pub(crate) fn length(&self) -> Duration {
        self.end.duration_since(self.start).unwrap_or_default()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phases(pub(crate) Vec<Phase>);

impl Phases {
    /// What the report says of its first fault, by tracer's own clock, within the
    /// time watched. A run without a fault is all baseline.
    pub(crate) fn from_report(
        report: &Report,
        since: SystemTime,
        until: SystemTime,
    ) -> Result<Self> {
        let Some(fault) = report.faults.first() else {
            let (name, start, end) = ("baseline", since, until);
            return Ok(Self(vec![Phase { name, start, end }]));
        };
        let time = |text: &str| {
            let time: Result<Timestamp, _> = text.parse();
            time.map(SystemTime::from)
                .with_context(|| format!("the report has `{text}` where a time should be"))
        };
        Ok(Self::around(
            since,
            time(&fault.started)?,
            time(&fault.ended)?,
            until,
        ))
    }

    pub(crate) fn around(
        since: SystemTime,
        started: SystemTime,
        ended: SystemTime,
        until: SystemTime,
    ) -> Self {
        let phase = |name, start, end| Phase { name, start, end };
        Self(vec![
            phase("baseline", since, started),
            phase("fault", started, ended),
            phase("recovery", ended, until),
        ])
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Phase> {
        self.0.iter().find(|phase| phase.name == name)
    }

    pub(crate) fn json(&self) -> Value {
        let phase = |phase: &Phase| {
            json!({
                "name": phase.name,
                "start": rfc3339(phase.start),
                "end": rfc3339(phase.end),
            })
        };
        self.0.iter().map(phase).collect()
    }
}

/// RFC 3339, UTC; `None` for times that have no such text.
pub(crate) fn rfc3339(time: SystemTime) -> Option<String> {
    Some(Timestamp::try_from(time).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbed::sample_report;

    #[test]
    fn the_fault_divides_the_time() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut report = sample_report::empty();
        let fault = sample_report::fault("1970-01-01T00:00:20Z", "1970-01-01T00:00:50.5Z");
        report.faults.push(fault);
        let phases = Phases::from_report(&report, at(10), at(60)).unwrap();
        let names: Vec<_> = phases.0.iter().map(|phase| phase.name).collect();
        assert_eq!(names, ["baseline", "fault", "recovery"]);
        let lengths: Vec<_> = phases
            .0
            .iter()
            .map(|phase| phase.length().as_millis())
            .collect();
        assert_eq!(lengths, [10_000, 30_500, 9_500]);
        assert!(
            phases
                .0
                .iter()
                .filter(|phase| phase.contains(at(20)))
                .count()
                == 1
        );
    }

    #[test]
    fn without_a_fault_all_is_baseline() {
        let now = SystemTime::UNIX_EPOCH;
        let mut report = sample_report::empty();
        let phases = Phases::from_report(&report, now, now).unwrap();
        assert_eq!(phases.0.len(), 1);
        report.faults.push(sample_report::fault("", ""));
        assert!(Phases::from_report(&report, now, now).is_err());
    }
}
