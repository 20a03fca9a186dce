//! What was typed of `tracer compare`.

use std::path::{Path, PathBuf};

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use crate::cli::files::Format;

pub(super) const AFTER_COMPARE_HELP: &str = "Conditions (--fail-if): METRIC OP [+-]NUMBER[UNIT], with OP one of > >= < <=. With a sign it is on the change: `+20%` is a fifth more than before, `+5ms` 5 ms more. Without one it is on the run after. Times have a unit (us, ms, s), shares a %.

  commits.p99 > +20%          commits.wait.p50 > 5ms        stage.remote.p95 > +10ms
  standby.flush.p99 > +50%    commits.rate < -10%           commits.slow.share > 1%
  retransmits.rate > +100%    retransmits.rto.rate > 0.1    findings.came > 0

Metrics:
  commits, commits.flush, commits.wait, commits.rest   with .p50, .p95, .p99 or .max
  stage.NAME     likewise; NAME: handover, acknowledged, remote, release, wakeup, unexplained
  standby.NAME   likewise; NAME: read, write, flush, reply, acknowledged, apply
  probe.commits, probe.reads                           likewise, and with .rate
  commits.rate, commits.slow.rate, commits.slow.share
  retransmits, retransmits.KIND, retransmits.peer      with .rate (a second) or .share (of what was
                 sent); KIND: tlp, rto, fast, rack, slow_start, syn, synack, other
  retransmits.replication.rate, retransmits.role.ROLE.rate
  findings, findings.came

It is on the whole run. Of several servers, standbys or peers, one suffices. It fails only if it is met whatever the figures are within their bounds; if it may be met, that is said.

Exit codes: 0 success, 1 failure, 2 wrong usage, also a condition on what was not measured in both, 3 a condition is met.";

/// The arguments of `tracer compare`.
#[derive(Debug, Args, Clone)]
pub struct CompareArguments {
    /// What `tracer run --json` or `tracer merge` wrote of the run before (`-` for standard
    /// input)
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,

    /// What the same command wrote of the run after
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,

    /// End with exit code 3 if this is so for certain, such as `commits.p99 > +20%`; may be
    /// repeated
    #[arg(long, value_name = "CONDITION")]
    pub fail_if: Vec<String>,

    /// Where to write it: .html, .md, .txt or .json (`-` for standard output) [default: -]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// What to write: `html`, `md`, `text` or `json` [default: by the file's name; text to
    /// standard output]
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    pub format: Option<ComparisonFormat>,
}

/// What a comparison is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComparisonFormat {
    /// For people.
    Document(Format),
    /// For programs.
    Json,
}

impl ValueEnum for ComparisonFormat {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Document(Format::Html),
            Self::Document(Format::Md),
            Self::Document(Format::Text),
            Self::Json,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Document(format) => format.to_possible_value(),
            Self::Json => Some(PossibleValue::new("json").help("For programs")),
        }
    }
}

impl ComparisonFormat {
    /// What a file's name says of what is to be written to it.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        let is_json = path
            .extension()
            .is_some_and(|extension| extension == "json");
        match is_json {
            true => Some(Self::Json),
            false => Format::of_file(path).map(Self::Document),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_tell_what_to_write() {
        let format = |name: &str| ComparisonFormat::of_file(Path::new(name));
        assert_eq!(format("-"), Some(ComparisonFormat::Document(Format::Text)));
        assert_eq!(format("a.md"), Some(ComparisonFormat::Document(Format::Md)));
        assert_eq!(format("a.json"), Some(ComparisonFormat::Json));
        for unknown in ["a", "a.pdf", "json", ".json"] {
            assert_eq!(format(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn every_form_of_a_report_is_one_of_a_comparison() {
        for format in Format::value_variants() {
            let here = ComparisonFormat::Document(*format);
            assert!(
                ComparisonFormat::value_variants().contains(&here),
                "{format:?}"
            );
        }
        assert!(ComparisonFormat::from_str("markdown", false).is_ok());
    }
}
