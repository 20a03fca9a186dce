//! Two reports, as `tracer merge` joins them.

use std::sync::LazyLock;

use serde_json::Value;
use tracer_core::merge::merge;
use tracer_core::merge::model::Merged;
use tracer_core::render::{account, json};
use tracer_core::report::Report;

use crate::shown::{self, Turn};
use crate::{base, patch, report};

/// What the other host saw of the same run.
static OTHERS: LazyLock<Vec<Value>> =
    LazyLock::new(|| base::of(include_bytes!("report/other.json")));

/// The first byte says which reports are joined, and the second how many of the others change
/// the first of them; the rest changes the second.
///
/// No figure becomes negative, none is made up, and what is made of the two is a file that
/// can be read and shown.
pub fn target(data: &[u8]) {
    let [which, length, changes @ ..] = data else {
        return;
    };
    let (ours, theirs) = changes.split_at(changes.len().min(usize::from(*length)));
    let one = changed(base::chosen(&report::BASES, Some(which)), ours);
    let two = changed(base::chosen(&OTHERS, Some(which)), theirs);
    let (Some(one), Some(two)) = (one, two) else {
        return;
    };
    let segments = [&one, &two].map(|report| report.selected.segments);
    let merged = match merge([one, two], ["one", "two"]) {
        Ok(merged) => merged,
        Err(error) => return shown::line(&error.to_string()),
    };
    assert_eq!(
        [&merged.hosts[0], &merged.hosts[1]].map(|host| host.segments),
        segments
    );
    for connection in &merged.connections {
        let sides = connection.sides.iter().map(|side| side.segments);
        let sum = sides.fold(0_u64, u64::saturating_add);
        assert_eq!(connection.segments, sum);
    }
    for host in &merged.hosts {
        assert!(host.starts_s >= 0.0, "{host:?}");
    }
    if let Some(common) = &merged.window.common {
        assert!(common.duration_s > 0.0, "{common:?}");
        assert!(
            common.duration_s <= merged.window.united.duration_s,
            "{common:?}"
        );
    }
    let turn = Turn::of(data);
    if turn.has_json() {
        let written = json::render(&merged).expect("a merged file has a form in JSON");
        let read = Merged::read(&written).expect("what we write can be read");
        assert!(json::render(&read).expect("likewise") == written);
    }
    shown::document(&account::of_both(&merged), turn);
}

/// A report with some changes; `None` if it is none any more.
pub(crate) fn changed(mut value: Value, changes: &[u8]) -> Option<Report> {
    patch::apply(&mut value, changes);
    Report::read(&serde_json::to_vec(&value).ok()?).ok()
}
