//! Two reports, as `tracer merge` joins them.

use std::sync::LazyLock;

use serde_json::Value;
use tracer_core::merge::merge;
use tracer_core::merge::model::Merged;
use tracer_core::render::{account, json};
use tracer_core::report::Report;

use crate::{patch, report, shown};

/// What the other host saw of the same run.
static OTHER: LazyLock<Value> = LazyLock::new(|| {
    let bytes = include_bytes!("report/other.json");
    serde_json::from_slice(bytes).expect("it is JSON")
});

/// The first byte says how many of the others change the first report; the rest changes
/// the second.
///
/// No figure becomes negative, none is made up, and what is made of the two is a file that
/// can be read and shown.
pub fn target(data: &[u8]) {
    let Some((length, changes)) = data.split_first() else {
        return;
    };
    let (ours, theirs) = changes.split_at(changes.len().min(usize::from(*length)));
    let (Some(one), Some(two)) = (changed(&report::WHOLE, ours), changed(&OTHER, theirs)) else {
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
    shown::document(&account::of_both(&merged));
    let written = json::render(&merged).expect("a merged file has a form in JSON");
    let read = Merged::read(&written).expect("what we write can be read");
    assert!(json::render(&read).expect("likewise") == written);
}

fn changed(base: &Value, changes: &[u8]) -> Option<Report> {
    let mut value = base.clone();
    patch::apply(&mut value, changes);
    Report::read(&serde_json::to_vec(&value).ok()?).ok()
}
