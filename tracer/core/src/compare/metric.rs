//! By what two runs are compared, and what it is called.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use tracer_ebpf::RetransmitKind;

use crate::report::quantiles::Quantiles;
use crate::report::role::Kind;
use crate::report::stages::Stage;
use crate::report::walreceiver::ReceiverStage;

/// Longer than any name: what is longer resembles none.
const MAX_NAME: usize = 64;
/// As many of the names that resemble one are told.
const MAX_CLOSE: usize = 3;

/// What a figure is: it has a name, by which `--fail-if` takes it, and a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// How long something took: `commits.p99`.
    Took(Timed, Quantile),
    /// How often something was done, a second: `commits.rate`.
    Rate(Repeated),
    /// The share of commits that were slow: `commits.slow.share`.
    SlowShare,
    /// Retransmitted segments: `retransmits.rto.rate`.
    Retransmits(RetransmitGroup, Per),
    /// How many findings there are: `findings`.
    Findings,
    /// How many of them came: `findings.came`.
    FindingsCame,
}

/// What took some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timed {
    /// A commit that writes.
    Commit,
    /// Its flush of the WAL.
    CommitFlush,
    /// Its wait for a standby.
    CommitWait,
    /// What is left of it.
    CommitRest,
    /// A stage of its wait, as the primary sees it.
    Stage(Stage),
    /// A stage of WAL on its way through a standby.
    Standby(ReceiverStage),
    /// A commit of the probe.
    ProbeCommit,
    /// A read of the probe.
    ProbeRead,
}

/// Which of many durations in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantile {
    /// The median.
    P50,
    /// What 95 % do not exceed.
    P95,
    /// What 99 % do not exceed.
    P99,
    /// The largest of a run.
    Largest,
}

/// What is done again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeated {
    /// Commits that write.
    Commit,
    /// Those of them that are slow.
    SlowCommit,
    /// Commits of the probe that were answered.
    ProbeCommit,
    /// Reads of the probe that were answered.
    ProbeRead,
}

/// Which retransmitted segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetransmitGroup {
    /// All to and from the peers that were asked for.
    All,
    /// Of one kind.
    Kind(RetransmitKind),
    /// Of the replication, at either end.
    Replication,
    /// Of connections that are for one thing.
    Role(Kind),
    /// To one peer: which, the figure says.
    Peer,
}

/// What retransmitted segments are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// A second.
    Second,
    /// A segment that was sent.
    SegmentSent,
}

/// What a figure is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricUnit {
    /// Milliseconds.
    Ms,
    /// A second.
    PerS,
    /// From 0 to 1.
    Share,
    /// Pieces.
    Count,
}

impl Quantile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::P50, Self::P95, Self::P99, Self::Largest];

    /// As it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Largest => "max",
        }
    }

    /// Which share of all it is not exceeded by; `None` of the largest.
    pub(super) const fn share(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
            Self::Largest => None,
        }
    }

    /// This one of those that are reported, ms.
    pub(super) const fn of(self, quantiles: &Quantiles) -> Option<f64> {
        match self {
            Self::P50 => quantiles.p50_ms,
            Self::P95 => quantiles.p95_ms,
            Self::P99 => quantiles.p99_ms,
            Self::Largest => quantiles.max_ms,
        }
    }
}

impl Timed {
    /// All of them.
    fn all() -> Vec<Self> {
        let mut all = vec![
            Self::Commit,
            Self::CommitFlush,
            Self::CommitWait,
            Self::CommitRest,
        ];
        all.extend(Stage::ALL.map(Self::Stage));
        all.extend(ReceiverStage::ALL.map(Self::Standby));
        all.extend([Self::ProbeCommit, Self::ProbeRead]);
        all
    }
}

impl fmt::Display for Timed {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit => to.write_str("commits"),
            Self::CommitFlush => to.write_str("commits.flush"),
            Self::CommitWait => to.write_str("commits.wait"),
            Self::CommitRest => to.write_str("commits.rest"),
            Self::Stage(stage) => write!(to, "stage.{}", stage.name()),
            Self::Standby(stage) => write!(to, "standby.{}", stage.name()),
            Self::ProbeCommit => to.write_str("probe.commits"),
            Self::ProbeRead => to.write_str("probe.reads"),
        }
    }
}

impl Repeated {
    /// All of them.
    const ALL: [Self; 4] = [
        Self::Commit,
        Self::SlowCommit,
        Self::ProbeCommit,
        Self::ProbeRead,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Commit => "commits",
            Self::SlowCommit => "commits.slow",
            Self::ProbeCommit => "probe.commits",
            Self::ProbeRead => "probe.reads",
        }
    }
}

impl RetransmitGroup {
    /// All of them.
    fn all() -> Vec<Self> {
        let mut all = vec![Self::All];
        all.extend(RetransmitKind::ALL.map(Self::Kind));
        all.push(Self::Replication);
        all.extend(Kind::ALL.map(Self::Role));
        all.push(Self::Peer);
        all
    }
}

impl fmt::Display for RetransmitGroup {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => to.write_str("retransmits"),
            Self::Kind(kind) => write!(to, "retransmits.{}", kind.name()),
            Self::Replication => to.write_str("retransmits.replication"),
            Self::Role(role) => write!(to, "retransmits.role.{role}"),
            Self::Peer => to.write_str("retransmits.peer"),
        }
    }
}

impl Metric {
    /// All that there are.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for timed in Timed::all() {
            all.extend(Quantile::ALL.map(|quantile| Self::Took(timed, quantile)));
        }
        all.extend(Repeated::ALL.map(Self::Rate));
        all.push(Self::SlowShare);
        for group in RetransmitGroup::all() {
            all.push(Self::Retransmits(group, Per::Second));
            // What a role or the replication has sent is in no report.
            let has_sent = !matches!(
                group,
                RetransmitGroup::Replication | RetransmitGroup::Role(_)
            );
            all.extend(has_sent.then_some(Self::Retransmits(group, Per::SegmentSent)));
        }
        all.extend([Self::Findings, Self::FindingsCame]);
        all
    }

    /// What it is counted in.
    #[must_use]
    pub const fn unit(self) -> MetricUnit {
        match self {
            Self::Took(..) => MetricUnit::Ms,
            Self::Rate(_) | Self::Retransmits(_, Per::Second) => MetricUnit::PerS,
            Self::SlowShare | Self::Retransmits(_, Per::SegmentSent) => MetricUnit::Share,
            Self::Findings | Self::FindingsCame => MetricUnit::Count,
        }
    }

    /// What a run needs for it to be measured.
    #[must_use]
    pub const fn needs(self) -> &'static str {
        match self {
            Self::Took(Timed::Standby(_), _) => "it takes --commits on the standby's host",
            Self::Took(Timed::Stage(_), _) => {
                "it takes --commits on the primary, and commits that wait for a standby"
            }
            Self::Took(Timed::ProbeCommit | Timed::ProbeRead, _)
            | Self::Rate(Repeated::ProbeCommit | Repeated::ProbeRead) => {
                "it takes --pg and --commit-probe"
            }
            Self::Took(..) | Self::Rate(_) | Self::SlowShare => "it takes --commits on the primary",
            Self::Retransmits(_, Per::SegmentSent) => {
                "how many segments were sent is in reports of this version, of peers of which that is known"
            }
            Self::Retransmits(..) => "no connection of that sort was seen",
            Self::Findings | Self::FindingsCame => "every report has it",
        }
    }

    /// The names that resemble this text most, at most three.
    #[must_use]
    pub fn close_to(text: &str) -> Vec<String> {
        if text.len() > MAX_NAME {
            return Vec::new();
        }
        let names = Self::all().into_iter().map(|metric| metric.to_string());
        let mut close: Vec<(bool, usize, String)> = names
            .map(|name| {
                let begins = !text.is_empty() && name.starts_with(text);
                (begins, distance(text, &name), name)
            })
            .filter(|(begins, distance, _)| *begins || *distance <= 1 + text.len() / 5)
            .collect();
        close.sort_by_key(|(begins, distance, _)| (Reverse(*begins), *distance));
        let names = close.into_iter().map(|(_, _, name)| name);
        names.take(MAX_CLOSE).collect()
    }
}

impl fmt::Display for Metric {
    /// As it is called.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Took(timed, quantile) => write!(to, "{timed}.{}", quantile.name()),
            Self::Rate(repeated) => write!(to, "{}.rate", repeated.name()),
            Self::SlowShare => to.write_str("commits.slow.share"),
            Self::Retransmits(group, Per::Second) => write!(to, "{group}.rate"),
            Self::Retransmits(group, Per::SegmentSent) => write!(to, "{group}.share"),
            Self::Findings => to.write_str("findings"),
            Self::FindingsCame => to.write_str("findings.came"),
        }
    }
}

/// No metric has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoMetric;

impl FromStr for Metric {
    type Err = NoMetric;

    fn from_str(text: &str) -> Result<Self, NoMetric> {
        let mut all = Self::all().into_iter();
        all.find(|metric| metric.to_string() == text)
            .ok_or(NoMetric)
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// How many characters have to be changed, added or left out to get from one to the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    // From what was read of the one so far to each beginning of the other.
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, character) in one.chars().enumerate() {
        let mut above_left = at;
        let mut left = at + 1;
        let mut next = vec![left];
        for (above, theirs) in row.iter().skip(1).zip(&other) {
            let changed = above_left + usize::from(character != *theirs);
            left = changed.min(*above + 1).min(left + 1);
            above_left = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_metric_has_a_name_of_its_own_and_is_found_by_it() {
        let all = Metric::all();
        let names: BTreeSet<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), all.len());
        for metric in all {
            let name = metric.to_string();
            assert_eq!(name.parse::<Metric>(), Ok(metric), "{name}");
            assert!(name.len() <= MAX_NAME, "{name}");
            let is_plain = |one: char| one.is_ascii_alphanumeric() || "._".contains(one);
            assert!(name.chars().all(is_plain), "{name}");
        }
        assert_eq!("commits.p98".parse::<Metric>(), Err(NoMetric));
    }

    #[test]
    fn what_resembles_a_name_is_told() {
        for (typed, expected) in [
            ("commits.p98", "commits.p99"),
            ("commit.p99", "commits.p99"),
            ("retransmits.rto", "retransmits.rto.rate"),
            ("stage.remot.p99", "stage.remote.p99"),
            ("stage.flush.p99", "standby.flush.p99"),
            ("finding", "findings"),
        ] {
            let close = Metric::close_to(typed);
            assert!(close.len() <= MAX_CLOSE, "{close:?}");
            let is_close = close.iter().any(|name| name == expected);
            assert!(is_close, "{typed}: {close:?}");
        }
        assert_eq!(Metric::close_to("nonsense"), [""; 0]);
        assert_eq!(Metric::close_to(&"commits.p99".repeat(10)), [""; 0]);
    }

    #[test]
    fn distances_count_changes() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("abc", "abd", 1),
            ("abc", "ac", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }
}
