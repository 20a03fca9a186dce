//! Reports and merged files, as `tracer report` reads them.

use std::sync::LazyLock;

use serde_json::Value;
use tracer::foreign;
use tracer_core::merge::model::Merged;
use tracer_core::render::json;
use tracer_core::report::Report;

use crate::shown::{self, Turn};
use crate::{base, patch};

/// A report with one of everything, and short ones.
pub(crate) static BASES: LazyLock<Vec<Value>> =
    LazyLock::new(|| base::of(include_bytes!("report/whole.json")));

/// The bytes are a file, if they begin with `{`; otherwise the first of them says which good
/// one is changed, and the others how.
///
/// What is read, written and read again stays the same, and whatever it holds does no harm
/// in any form, nor in the message that says what is wrong with it.
pub fn target(data: &[u8]) {
    if data.first() == Some(&b'{') {
        return read(data, Turn::of(data));
    }
    let mut value = base::chosen(&BASES, data.first());
    patch::apply(&mut value, data.get(1..).unwrap_or_default());
    let bytes = serde_json::to_vec(&value).expect("it is JSON");
    read(&bytes, Turn::of(data));
}

fn read(bytes: &[u8], turn: Turn) {
    match foreign::document(bytes) {
        Ok(document) => shown::document(&document, turn),
        Err(error) => shown::line(&error.to_string()),
    }
    if !turn.has_json() {
        return;
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
