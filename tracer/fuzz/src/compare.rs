//! Two reports, as `tracer compare` compares them.

use tracer_core::compare::change::Change;
use tracer_core::compare::compare;
use tracer_core::compare::file::ComparedFile;
use tracer_core::compare::model::ComparedFigure;
use tracer_core::render::{comparison, json};

use crate::merge::changed;
use crate::shown::{self, Turn};
use crate::{base, report};

/// The first byte says which report is compared with itself, and the second how many of the
/// others change the one before; the rest changes the one after.
///
/// Each figure is between its bounds, none is said to have changed whose bounds overlap, and what
/// is made of the two can be shown.
pub fn target(data: &[u8]) {
    let [which, length, changes @ ..] = data else {
        return;
    };
    let (ours, theirs) = changes.split_at(changes.len().min(usize::from(*length)));
    let [one, two] =
        [ours, theirs].map(|changes| changed(base::chosen(&report::BASES, Some(which)), changes));
    let (Some(one), Some(two)) = (one, two) else {
        return;
    };
    let files = [one, two].map(|report| ComparedFile::Report(Box::new(report)));
    let compared = compare([&files[0], &files[1]], ["before", "after"], &[]);
    let compared = compared.expect("two reports of one host can be compared");
    let parts = compared.hosts.iter().flat_map(|host| &host.parts);
    for figure in parts.flat_map(|part| &part.figures) {
        check(figure);
    }
    let turn = Turn::of(data);
    if turn.has_json() {
        json::render(&compared).expect("a comparison has a form in JSON");
    }
    shown::document(&comparison::of(&compared), turn);
}

fn check(figure: &ComparedFigure) {
    for one in [figure.before, figure.after].iter().flatten() {
        assert!(one.at_least >= 0.0, "{figure:?}");
        assert!(one.at_least <= one.value, "{figure:?}");
        assert!(
            one.at_most.is_none_or(|most| most >= one.value),
            "{figure:?}"
        );
    }
    let values = figure.before.zip(figure.after);
    let values = values.map(|(before, after)| (before.value, after.value));
    match (figure.change, values) {
        (Change::Higher, Some((before, after))) => assert!(after > before, "{figure:?}"),
        (Change::Lower, Some((before, after))) => assert!(after < before, "{figure:?}"),
        (Change::WithinUncertainty, Some(_)) | (Change::NotMeasured, None) => {}
        other => panic!("{other:?} of {figure:?}"),
    }
}
