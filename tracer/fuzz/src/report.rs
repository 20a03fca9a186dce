//! Reports and merged files, as `tracer report` reads them.

use std::sync::LazyLock;

use serde_json::Value;
use tracer::foreign;
use tracer_core::merge::model::Merged;
use tracer_core::render::json;
use tracer_core::report::Report;

use crate::{patch, shown};

/// A report with one of everything.
pub(crate) static WHOLE: LazyLock<Value> = LazyLock::new(|| {
    let bytes = include_bytes!("report/whole.json");
    serde_json::from_slice(bytes).expect("it is JSON")
});

/// The bytes are a file, if they begin with `{`; otherwise they say how a good one is
/// changed.
///
/// What is read, written and read again stays the same, and whatever it holds does no harm
/// in any form, nor in the message that says what is wrong with it.
pub fn target(data: &[u8]) {
    if data.first() == Some(&b'{') {
        return read(data);
    }
    let mut value = WHOLE.clone();
    patch::apply(&mut value, data);
    read(&serde_json::to_vec(&value).expect("it is JSON"));
}

fn read(bytes: &[u8]) {
    match foreign::document(bytes) {
        Ok(document) => shown::document(&document),
        Err(error) => shown::line(&error.to_string()),
    }
    if let Ok(report) = Report::read(bytes) {
        let written = json::render(&report).expect("a report has a form in JSON");
        let again = Report::read(&written).expect("what we write can be read");
        assert!(json::render(&again).expect("likewise") == written);
    }
    if let Ok(merged) = Merged::read(bytes) {
        let written = json::render(&merged).expect("a merged file has a form in JSON");
        let again = Merged::read(&written).expect("what we write can be read");
        assert!(json::render(&again).expect("likewise") == written);
    }
}
