//! Which host of one file is which of the other.

use crate::compare::file::ComparedFile;
use crate::compare::pairing::pairs;
use crate::report::Report;
use crate::report::role::Kind;

/// One host in both files.
#[derive(Debug)]
pub(super) struct HostPair<'a> {
    /// What it is called in the one after; `None` of reports that were not merged.
    pub(super) label: Option<String>,
    /// What it reported before and after.
    pub(super) reports: [&'a Report; 2],
}

/// A host of a file, by its label.
type HostReport<'a> = (Option<&'a str>, &'a Report);

/// Those of both files, and the labels of others. A host is the same that has the same label; or
/// that also sends WAL, or also does not; or that alone is left.
pub(super) fn hosts<'a>(
    before: &'a ComparedFile,
    after: &'a ComparedFile,
) -> (Vec<HostPair<'a>>, Vec<String>) {
    let same_label = |one: HostReport<'_>, other: HostReport<'_>| one.0 == other.0;
    let same_side =
        |one: HostReport<'_>, other: HostReport<'_>| sends_wal(one.1) == sends_wal(other.1);
    let any = |_: HostReport<'_>, _: HostReport<'_>| true;
    let (mut both, mut lone) = (Vec::new(), Vec::new());
    let rules: [&dyn Fn(HostReport<'a>, HostReport<'a>) -> bool; 3] =
        [&same_label, &same_side, &any];
    for pair in pairs(&before.hosts(), &after.hosts(), &rules) {
        match pair {
            [Some((_, one)), Some((label, other))] => both.push(HostPair {
                label: label.map(str::to_owned),
                reports: [one, other],
            }),
            [Some((label, _)), None] | [None, Some((label, _))] => {
                lone.push(label.unwrap_or_default().to_owned());
            }
            [None, None] => {}
        }
    }
    (both, lone)
}

fn sends_wal(report: &Report) -> bool {
    let mut flows = report.flows.iter();
    flows.any(|flow| flow.role.kind == Kind::Walsender)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::merge;

    fn report(bytes: &[u8]) -> Report {
        Report::read(bytes).unwrap()
    }

    /// A primary and its standby, merged in this order or the other.
    fn merged(labels: [&str; 2], turned: bool) -> ComparedFile {
        let mut reports = [
            report(include_bytes!("../../tests/data/db1.json")),
            report(include_bytes!("../../tests/data/db2.json")),
        ];
        let mut labels = labels;
        if turned {
            reports.reverse();
            labels.reverse();
        }
        let mut merged = merge(reports, ["one", "two"]).unwrap();
        for (host, label) in merged.hosts.iter_mut().zip(labels) {
            host.label = label.to_owned();
        }
        ComparedFile::Merged(Box::new(merged))
    }

    fn found(before: &ComparedFile, after: &ComparedFile) -> Vec<(String, [bool; 2])> {
        let (both, lone) = hosts(before, after);
        assert!(lone.is_empty(), "{lone:?}");
        let sides = both.into_iter();
        sides
            .map(|one| (one.label.unwrap(), one.reports.map(sends_wal)))
            .collect()
    }

    #[test]
    fn hosts_are_the_same_by_label_or_by_what_they_are() {
        let before = merged(["db1", "db2"], false);
        let expected = |primary: &str, standby: &str| {
            vec![
                (primary.to_owned(), [true, true]),
                (standby.to_owned(), [false, false]),
            ]
        };
        let turned = merged(["db1", "db2"], true);
        assert_eq!(found(&before, &turned), expected("db1", "db2"));
        // New machines, named in another order.
        let new = merged(["a", "b"], true);
        assert_eq!(found(&before, &new), expected("a", "b"));
        // One of them was renamed.
        let renamed = merged(["db1", "b"], true);
        assert_eq!(found(&before, &renamed), expected("db1", "b"));
    }

    #[test]
    fn of_a_report_there_is_one_host_whatever_it_is_called() {
        let one = report(include_bytes!("../../tests/data/db1.json"));
        let mut other = one.clone();
        other.host.name = "elsewhere".to_owned();
        let files = [one, other].map(|report| ComparedFile::Report(Box::new(report)));
        let (both, lone) = hosts(&files[0], &files[1]);
        assert_eq!((both.len(), lone.len()), (1, 0));
        assert_eq!(both[0].label, None);
    }
}
