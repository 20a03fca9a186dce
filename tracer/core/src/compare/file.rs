//! What can be compared: a report, or what was merged of two.

use crate::merge;
use crate::merge::model::Merged;
use crate::report::finding::Finding;
use crate::report::read::{ReadError, is_akin, schema};
use crate::report::{Report, Window};

/// A file of one run.
#[derive(Debug, Clone)]
pub enum ComparedFile {
    /// Of one host.
    Report(Box<Report>),
    /// Of both.
    Merged(Box<Merged>),
}

impl ComparedFile {
    /// A file as it was written.
    ///
    /// # Errors
    /// If it is neither.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        match is_akin(&schema(bytes)?, merge::SCHEMA) {
            true => Merged::read(bytes).map(|merged| Self::Merged(Box::new(merged))),
            false => Report::read(bytes).map(|report| Self::Report(Box::new(report))),
        }
    }

    /// The hosts, each with its label, which is `None` of the only one, and its report.
    pub(super) fn hosts(&self) -> Vec<(Option<&str>, &Report)> {
        match self {
            Self::Report(report) => vec![(None, report.as_ref())],
            Self::Merged(merged) => {
                let labels = merged.hosts.iter().map(|host| Some(host.label.as_str()));
                labels.zip(&merged.reports).collect()
            }
        }
    }

    /// The names of these hosts.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Report(report) => vec![report.host.name.clone()],
            Self::Merged(merged) => merged.hosts.iter().map(|one| one.label.clone()).collect(),
        }
    }

    /// What was found, each with the host that found it, by its label.
    pub(super) fn findings(&self) -> Vec<(Option<&str>, &Finding)> {
        match self {
            Self::Report(report) => report.findings.iter().map(|one| (None, one)).collect(),
            Self::Merged(merged) => {
                let findings = merged.findings.iter();
                findings
                    .map(|one| (Some(one.host.as_str()), &one.finding))
                    .collect()
            }
        }
    }

    /// From when to when.
    pub(super) fn window(&self) -> &Window {
        match self {
            Self::Report(report) => &report.window,
            Self::Merged(merged) => &merged.window.united,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_schema_says() {
        let report = ComparedFile::read(include_bytes!("../../tests/data/db1.json")).unwrap();
        assert!(matches!(report, ComparedFile::Report(_)));
        assert_eq!(report.hosts()[0].0, None);
        let error = ComparedFile::read(br#"{"schema": "tracer.merge/3"}"#).unwrap_err();
        assert!(error.to_string().contains("tracer.merge/2"), "{error}");
        let error = ComparedFile::read(b"").unwrap_err();
        assert!(error.to_string().contains("not JSON"), "{error}");
    }
}
