//! The JSON of a report, which is a contract with whoever reads it.
//!
//! All other tests read it as types. They may, because here the types are held against
//! the text: whatever is in the one is in the other.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::Value;
use tracer_core::report::fault::FaultReport;
use tracer_core::report::{Fault, Report};

use crate::support::program::{data, printed};

/// A report that this version wrote: nothing of the text is lost in the types.
pub(crate) fn read(json: &[u8]) -> Result<Report> {
    let report = Report::read(json)?;
    let text: Value = serde_json::from_slice(json)?;
    let types = serde_json::to_value(&report)?;
    ensure!(types == text, "the types say {types}, the text {text}");
    Ok(report)
}

/// The faults of `tracer inject --json`, likewise.
pub(crate) fn faults(json: &[u8]) -> Result<Vec<FaultReport>> {
    let text: Value = serde_json::from_slice(json)?;
    ensure!(text["schema"] == "tracer.inject/1", "{text}");
    let faults: Vec<Fault> = serde_json::from_value(text["faults"].clone())?;
    let types = serde_json::to_value(&faults)?;
    ensure!(
        types == text["faults"],
        "the types say {types}, the text {text}"
    );
    Ok(faults.into_iter().map(|one| one.fault).collect())
}

/// What a finding names as its evidence is in the text.
pub(crate) fn assert_points_at(json: &str, evidence: &[String]) {
    let text: Value = serde_json::from_str(json).unwrap();
    for pointer in evidence {
        assert!(text.pointer(pointer).is_some(), "{pointer}");
    }
}

/// A merged file has both reports in it, and says whose each is.
pub(crate) fn assert_holds_both(merged: &str, reports: [&str; 2]) {
    let read = |path: &str| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let merged = read(merged);
    assert_eq!(merged["schema"], "tracer.merge/2");
    assert_eq!(merged["hosts"][1]["label"], "db2");
    for (at, path) in reports.into_iter().enumerate() {
        let report = read(path);
        // A later version has more fields.
        for part in ["/window", "/selected", "/findings/0/text"] {
            let again = merged["reports"][at].pointer(part);
            assert!(
                again.is_some() && again == report.pointer(part),
                "{path}: {part}"
            );
        }
    }
}

/// `null` is what was not measured; it is there, and it is not 0.
#[test]
fn what_a_recording_cannot_tell_is_null() {
    let json = printed(&["replay", &data("db2.jsonl"), "--json", "-"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["schema"], "tracer.report/2");
    for unknown in [
        "/totals/kernel_retrans_segs",
        "/totals/difference",
        "/totals/lost_events",
        "/overhead/ready_ms",
        "/host/tick_hz",
        "/postgres",
        "/flows/0/process",
    ] {
        let found = report.pointer(unknown);
        assert_eq!(found, Some(&Value::Null), "{unknown}");
    }
    read(json.as_bytes()).unwrap();
}
