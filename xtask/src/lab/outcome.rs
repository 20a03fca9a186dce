//! All that a run has shown.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tracer_core::merge::model::Merged;
use tracer_core::report::Report;
use tracer_core::report::finding::{Cause, Finding};

pub(super) use tracer_core::report::role::Kind as FlowKind;

use super::cluster::DATABASES;
use super::context::Note;
use super::timing::Timing;
use super::verify::Checks;
use super::watch::{self, Change};
use crate::lab::format::{UNKNOWN, known};
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
    pub(super) reports: [Report; 2],
    /// Both as one.
    pub(super) merged: Merged,
    /// How much `InCsumErrors` of each of these hosts grew.
    pub(super) checksum_errors: [u64; 2],
    pub(super) extra: Map<String, Value>,
    /// The same, in words.
    pub(super) words: Vec<String>,
    /// What ran tracer, as one would type it.
    pub(super) commands: Vec<String>,
    pub(super) timing: Timing,
    pub(super) folder: PathBuf,
    /// How long the cluster took to be up.
    pub(super) up: Duration,
}

impl Outcome {
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
        &self.records[0]
    }

    pub(super) fn reads(&self) -> &Record {
        &self.records[1]
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

    /// The same of writes, and of reads.
    pub(super) fn gaps(&self) -> [Option<Gap>; 2] {
        [self.writes(), self.reads()].map(|record| self.gap(record))
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

    /// What the experiment itself has noted under this name.
    pub(super) fn noted<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let value = self.extra.get(name).cloned().unwrap_or_default();
        serde_json::from_value(value).with_context(|| format!("the experiment has noted no {name}"))
    }

    /// tracer's report of the host of a database.
    pub(super) fn report(&self, database: &str) -> &Report {
        &self.reports[usize::from(database != DATABASES[0])]
    }

    /// The host of a database has to find this cause first.
    pub(super) fn names(&self, database: &str, cause: Cause, checks: &mut Checks) {
        let report = self.report(database);
        checks.that(
            &format!("tracer on {database} names the cause, `{}`", name(cause)),
            causes(report).first() == Some(&cause),
            cause_names(report),
        );
    }

    /// Both hosts' reports together have to.
    pub(super) fn both_name(&self, cause: Cause, checks: &mut Checks) {
        let findings = self.merged.findings.iter();
        let found: Vec<Cause> = findings.map(|one| one.finding.cause).collect();
        let names: Vec<String> = found.iter().map(name).collect();
        checks.that(
            &format!("both reports together name `{}`", name(cause)),
            found.first() == Some(&cause),
            names.join(", "),
        );
    }

    /// The stretches in which a node took writes, by its own account.
    pub(super) fn reigns(&self, node: &str) -> Vec<(SystemTime, Option<SystemTime>)> {
        watch::reigns(&self.roles, node)
    }

    /// When the second database first took writes after the fault had begun.
    pub(super) fn promoted(&self) -> Option<SystemTime> {
        watch::promoted(&self.roles, DATABASES[1], self.started())
    }

    /// How long both databases took writes at the same time, as far as polls can tell.
    pub(super) fn two_primaries(&self) -> Duration {
        watch::two_primaries(&self.roles, self.phase("recovery").end)
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

/// The segments that flows of this kind retransmitted.
pub(super) fn retransmitted(report: &Report, kind: FlowKind) -> u64 {
    let flows = report.flows.iter();
    let flows = flows.filter(|flow| flow.role.kind == kind);
    flows.map(|flow| flow.segments).sum()
}

/// The causes that tracer found, the weightiest first.
pub(super) fn causes(report: &Report) -> Vec<Cause> {
    let findings = report.findings.iter();
    findings.map(|finding| finding.cause).collect()
}

/// The same, as they are called in the report.
pub(super) fn cause_names(report: &Report) -> String {
    let names: Vec<String> = causes(report).iter().map(name).collect();
    names.join(", ")
}

/// Whether the first cause of slowness in a report is that the standby is cut off.
pub(super) fn blames_a_cut(report: &Report) -> bool {
    let mut findings = report.findings.iter();
    // That commits do not wait any more says what may be lost, not what was slow; it
    // stands before all of that.
    let first = findings.find(|finding| finding.cause != Cause::SyncWaitOff);
    first.is_some_and(|finding| match finding.cause {
        Cause::StandbyGone => shows_no_walsender(report, finding),
        // As seen from the primary.
        Cause::Partition | Cause::LossTowardStandby | Cause::LossOfReplies => true,
        _ => false,
    })
}

/// Whether the server had no walsender any more in the sample that a finding points to:
/// a standby that is cut off is gone only then.
fn shows_no_walsender(report: &Report, finding: &Finding) -> bool {
    let series = report.postgres.as_ref().map(|postgres| &postgres.series);
    let pointers = finding.evidence.iter();
    pointers
        .filter_map(|pointer| {
            let index = pointer.strip_prefix("/postgres/series/")?;
            let index: usize = index.strip_suffix("/standbys")?.parse().ok()?;
            series?.get(index)
        })
        .any(|entry| entry.sample.standbys.is_empty())
}

/// A word of the report, as it is written there.
pub(super) fn name(word: impl Serialize) -> String {
    match serde_json::to_value(word) {
        Ok(Value::String(name)) => name,
        _ => UNKNOWN.to_owned(),
    }
}

/// Seconds as a person reads them.
pub(super) fn seconds(length: Option<Duration>) -> String {
    known(length, |it| format!("{:.1} s", it.as_secs_f64()))
}

/// A time as reports have it.
pub(super) fn time(text: &str) -> Option<SystemTime> {
    let time: Timestamp = text.parse().ok()?;
    Some(time.into())
}

#[cfg(test)]
mod tests {
    use tracer_core::report::sample::Standby;

    use super::*;
    use crate::testbed::sample_report;

    fn found(causes: &[Cause]) -> Report {
        let mut report = sample_report::full();
        let like = report.findings[0].clone();
        let finding = |cause: &Cause| Finding {
            cause: *cause,
            evidence: vec![
                "/postgres/series/0/sync_rep_waiters".to_owned(),
                "/postgres/series/0/standbys".to_owned(),
            ],
            ..like.clone()
        };
        report.findings = causes.iter().map(finding).collect();
        report
    }

    #[test]
    fn the_first_cause_decides_what_is_blamed() {
        for (causes, a_cut) in [
            (&[Cause::Partition, Cause::StandbyNotReplying][..], true),
            (&[Cause::StandbyNotReplying, Cause::Partition], false),
            (&[Cause::NotTheNetwork], false),
            (&[], false),
        ] {
            assert_eq!(blames_a_cut(&found(causes)), a_cut, "{causes:?}");
        }
    }

    #[test]
    fn what_may_be_lost_is_no_cause_of_slowness() {
        let causes = [Cause::SyncWaitOff, Cause::LossOfReplies];
        assert!(blames_a_cut(&found(&causes)));
        assert!(!blames_a_cut(&found(&causes[..1])));
        assert_eq!(
            cause_names(&found(&causes)),
            "sync_wait_off, loss_of_replies"
        );
    }

    #[test]
    fn a_standby_is_gone_when_its_walsender_is() {
        let mut report = found(&[Cause::StandbyGone]);
        let mut with = |standbys| {
            let postgres = report.postgres.as_mut().unwrap();
            postgres.series[0].sample.standbys = standbys;
            blames_a_cut(&report)
        };
        assert!(!with(vec![Standby::default()]));
        assert!(with(Vec::new()));
        report.postgres = None;
        assert!(!blames_a_cut(&report));
    }
}
