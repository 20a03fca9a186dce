//! All that a run has shown.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::cluster::DATABASES;
use super::context::Note;
use super::timing::Timing;
use super::watch::Change;
use crate::lab::format::UNKNOWN;
use crate::testbed::load::phase::{Phase, Phases};
use crate::testbed::load::record::{Figures, Gap, Record};

/// Of one variant of one experiment.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) phases: Phases,
    /// Writes, and reads.
    pub(super) records: [Record; 2],
    pub(super) roles: Vec<Change>,
    pub(super) notes: Vec<Note>,
    /// tracer's, of both databases' hosts.
    pub(super) reports: [Value; 2],
    /// How much `InCsumErrors` of each of these hosts grew.
    pub(super) checksum_errors: [u64; 2],
    pub(super) extra: Map<String, Value>,
    /// The same, in words.
    pub(super) words: Vec<String>,
    /// What ran tracer, as one would type it.
    pub(super) commands: Vec<String>,
    pub(super) timing: Timing,
    /// How long the cluster took to be up.
    pub(super) up: Duration,
}

impl Outcome {
    /// When the fault began.
    pub(super) fn started(&self) -> SystemTime {
        self.phase("fault").start
    }

    /// The phase of this name; an empty one if there is none.
    pub(super) fn phase(&self, name: &'static str) -> Phase {
        let none = Phase {
            name,
            start: SystemTime::UNIX_EPOCH,
            end: SystemTime::UNIX_EPOCH,
        };
        self.phases.named(name).cloned().unwrap_or(none)
    }

    pub(super) fn writes(&self) -> &Record {
        let [writes, _] = &self.records;
        writes
    }

    pub(super) fn reads(&self) -> &Record {
        let [_, reads] = &self.records;
        reads
    }

    pub(super) fn figures(&self, record: &Record, phase: &'static str) -> Figures {
        record.figures(&self.phase(phase))
    }

    /// The longest stretch without an answer that reaches into the fault or after it.
    pub(super) fn gap(&self, record: &Record) -> Option<Gap> {
        let during = record.longest_gap(&self.phase("fault"));
        let after = record.longest_gap(&self.phase("recovery"));
        during.into_iter().chain(after).max_by_key(|gap| gap.length)
    }

    /// From the beginning of the fault to this moment, if there was one.
    pub(super) fn since_fault(&self, moment: Option<SystemTime>) -> Option<Duration> {
        moment?.duration_since(self.started()).ok()
    }

    /// Something for the result: for programs, and in words.
    pub(super) fn tell(&mut self, name: &str, value: Value, words: Vec<String>) {
        self.extra.insert(name.to_owned(), value);
        self.words.extend(words);
    }

    /// tracer's report of the host of a database.
    pub(super) fn report(&self, database: &str) -> &Value {
        let [first, second] = &self.reports;
        if database == DATABASES[0] {
            first
        } else {
            second
        }
    }

    /// From the beginning of the fault to this moment, in seconds.
    pub(super) fn after_fault(&self, moment: SystemTime) -> f64 {
        let started = self.started();
        match moment.duration_since(started) {
            Ok(after) => after.as_secs_f64(),
            Err(before) => -before.duration().as_secs_f64(),
        }
    }
}

/// The flows of a report in which something was sent again, the worst first.
pub(super) fn flows(report: &Value) -> Vec<&Value> {
    let mut flows: Vec<&Value> = list(report, "/flows")
        .iter()
        .filter(|flow| number(flow, "/segments") > 0)
        .collect();
    flows.sort_by_key(|flow| std::cmp::Reverse(number(flow, "/segments")));
    flows
}

/// The segments that flows of this role sent again.
pub(super) fn resent(report: &Value, role: &str) -> u64 {
    list(report, "/flows")
        .iter()
        .filter(|flow| text(flow, "/role") == role)
        .map(|flow| number(flow, "/segments"))
        .sum()
}

/// The causes that tracer found, the weightiest first.
pub(super) fn causes(report: &Value) -> Vec<String> {
    list(report, "/findings")
        .iter()
        .map(|finding| text(finding, "/cause").to_owned())
        .collect()
}

/// Whether a cause blames the network.
pub(super) fn blames_the_network(cause: &str) -> bool {
    ["loss", "damage", "partition", "network_delay"]
        .iter()
        .any(|word| cause.starts_with(word))
}

/// What cutting a standby off is, as seen from the primary.
const CUT: [&str; 3] = ["partition", "loss_toward_standby", "loss_of_replies"];

/// Whether the first cause of slowness in a report is that the standby is cut off.
pub(super) fn blames_a_cut(report: &Value) -> bool {
    let first = list(report, "/findings")
        .iter()
        // That commits do not wait any more says what may be lost, not what was slow; it
        // stands before all of that.
        .find(|finding| text(finding, "/cause") != "sync_wait_off");
    first.is_some_and(|finding| match text(finding, "/cause") {
        "standby_gone" => shows_no_walsender(report, finding),
        cause => CUT.contains(&cause),
    })
}

/// Whether the server had no walsender any more in the sample that a finding points to:
/// a standby that is cut off is gone only then.
fn shows_no_walsender(report: &Value, finding: &Value) -> bool {
    list(finding, "/evidence")
        .iter()
        .filter_map(Value::as_str)
        .filter(|pointer| pointer.ends_with("/standbys"))
        .filter_map(|pointer| report.pointer(pointer)?.as_array())
        .any(Vec::is_empty)
}

/// Seconds as a person reads them.
pub(super) fn seconds(length: Option<Duration>) -> String {
    length.map_or(UNKNOWN.to_owned(), |it| {
        format!("{:.1} s", it.as_secs_f64())
    })
}

/// A list in a report; empty if there is none.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

/// A count in a report; 0 if there is none.
pub(super) fn number(value: &Value, pointer: &str) -> u64 {
    let number = value.pointer(pointer).and_then(Value::as_u64);
    number.unwrap_or_default()
}

/// A measurement in a report.
pub(super) fn measured(value: &Value, pointer: &str) -> Option<f64> {
    value.pointer(pointer).and_then(Value::as_f64)
}

/// A word in a report; empty if there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_default()
}

/// A time in a report.
pub(super) fn time(value: &Value, pointer: &str) -> Option<SystemTime> {
    let time: Timestamp = text(value, pointer).parse().ok()?;
    Some(time.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(causes: &[&str]) -> Value {
        let finding = |cause: &&str| {
            json!({"cause": cause, "evidence": [
                "/postgres/series/0/sync_rep_waiters", "/postgres/series/0/standbys"
            ]})
        };
        json!({"findings": causes.iter().map(finding).collect::<Vec<_>>()})
    }

    #[test]
    fn the_first_cause_decides_what_is_blamed() {
        assert!(blames_a_cut(&found(&["partition", "standby_not_replying"])));
        assert!(!blames_a_cut(&found(&[
            "standby_not_replying",
            "partition"
        ])));
        assert!(!blames_a_cut(&found(&["not_the_network"])));
        assert!(!blames_a_cut(&found(&[])));
    }

    #[test]
    fn what_may_be_lost_is_no_cause_of_slowness() {
        assert!(blames_a_cut(&found(&["sync_wait_off", "loss_of_replies"])));
        assert!(!blames_a_cut(&found(&["sync_wait_off"])));
    }

    #[test]
    fn a_standby_is_gone_when_its_walsender_is() {
        let mut report = found(&["standby_gone"]);
        assert!(!blames_a_cut(&report));
        report["postgres"] = json!({"series": [{"standbys": [{"state": "startup"}]}]});
        assert!(!blames_a_cut(&report));
        report["postgres"] = json!({"series": [{"standbys": []}]});
        assert!(blames_a_cut(&report));
    }
}
