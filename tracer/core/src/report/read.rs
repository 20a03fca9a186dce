//! Reports as they were written, read again.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::harmless;
use crate::report::{READABLE, Report, SCHEMA, possible};

/// A file that is no report that this program understands.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Something else.
    #[error("not a tracer report: {0}")]
    Foreign(String),
    /// Of another version of the contract.
    #[error("its schema is `{found}`, and this tracer reads {ours}")]
    Version {
        /// What it says.
        found: String,
        /// What can be read.
        ours: String,
    },
    /// It says what it is, and is not.
    #[error("`{ours}` by its schema, but not by what it holds: {error}")]
    Broken {
        /// What it should be.
        ours: &'static str,
        /// Why it is not.
        error: String,
    },
}

/// What stands in the file, in a message.
fn shown(text: &str) -> String {
    harmless::line(text).into_owned()
}

/// What every file of ours begins with.
#[derive(Debug, Deserialize)]
struct Head {
    schema: String,
}

/// The schema that a file says it has.
///
/// # Errors
/// If it says none.
pub fn schema(bytes: &[u8]) -> Result<String, ReadError> {
    match serde_json::from_slice::<Head>(bytes) {
        Ok(head) => Ok(head.schema),
        Err(error) if error.is_data() => {
            Err(ReadError::Foreign("it is JSON without a `schema`".into()))
        }
        Err(error) => {
            let error = shown(&error.to_string());
            Err(ReadError::Foreign(format!("it is not JSON: {error}")))
        }
    }
}

/// Whether a schema is this one or a minor version of it, which may have more fields.
fn is_readable(found: &str, ours: &str) -> bool {
    let rest = found.strip_prefix(ours);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether two schemas are of one contract, be it in other versions.
pub fn is_akin(found: &str, ours: &str) -> bool {
    let contract = |schema: &str| schema.split_once('/').map(|(name, _)| name.to_owned());
    contract(found).is_some_and(|found| Some(found) == contract(ours))
}

/// What a file of one of these schemas holds. Fields that are not known are passed over.
///
/// # Errors
/// If it is of another, or broken.
pub fn read<T: DeserializeOwned>(bytes: &[u8], readable: &[&'static str]) -> Result<T, ReadError> {
    let found = schema(bytes)?;
    if let Some(ours) = readable.iter().find(|ours| is_readable(&found, ours)) {
        let read = possible::check(bytes).and_then(|()| serde_json::from_slice(bytes));
        return read.map_err(|error| ReadError::Broken {
            ours,
            error: shown(&error.to_string()),
        });
    }
    let is_akin = readable.iter().any(|ours| is_akin(&found, ours));
    let found = shown(&found);
    Err(if is_akin {
        let ours: Vec<String> = readable.iter().map(|ours| format!("`{ours}`")).collect();
        let ours = ours.join(" and ");
        ReadError::Version { found, ours }
    } else {
        ReadError::Foreign(format!("its schema is `{found}`"))
    })
}

impl Report {
    /// A report as it was written; one of an earlier version as this one writes it.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        read(bytes, &READABLE).map(|report| Self {
            schema: SCHEMA.into(),
            ..report
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::render;

    /// What two hosts wrote of one run: the primary's with everything that there is.
    const WRITTEN: [&[u8]; 2] = [
        include_bytes!("../../tests/data/db1.json"),
        include_bytes!("../../tests/data/db2.json"),
    ];

    /// Whether all of `old` is in `new`, which may have fields of a later version.
    fn holds(new: &Value, old: &Value) -> bool {
        match (new, old) {
            (Value::Object(new), Value::Object(old)) => old
                .iter()
                .all(|(name, old)| new.get(name).is_some_and(|new| holds(new, old))),
            (Value::Array(new), Value::Array(old)) => {
                new.len() == old.len() && new.iter().zip(old).all(|(new, old)| holds(new, old))
            }
            _ => new == old,
        }
    }

    /// What differs between the versions of the contract.
    fn without_series(mut report: Value) -> Value {
        report["schema"].take();
        for flow in report["flows"].as_array_mut().unwrap() {
            flow["series"].take();
        }
        report
    }

    #[test]
    fn what_is_read_and_written_again_is_the_same() {
        for written in WRITTEN {
            let report = Report::read(written).unwrap();
            let again = render::json::render(&report).unwrap();
            let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
            let [now, before] = [value(&again), value(written)];
            assert_eq!(now["schema"], "tracer.report/2");
            assert_eq!(before["schema"], "tracer.report/1");
            let flows = |report: &Value| report["flows"].as_array().unwrap().clone();
            for (now, before) in flows(&now).iter().zip(flows(&before)) {
                let steps = before["series"].as_array().unwrap().iter().enumerate();
                for (at, step) in steps {
                    assert_eq!(now["series"]["segments"][at], step["segments"]);
                }
            }
            assert!(holds(&without_series(now), &without_series(before)));
            let twice = render::json::render(&Report::read(&again).unwrap()).unwrap();
            assert!(again == twice);
        }
    }

    fn changed(change: impl FnOnce(&mut Value)) -> Result<Report, ReadError> {
        let mut value = serde_json::from_slice(WRITTEN[0]).unwrap();
        change(&mut value);
        Report::read(&serde_json::to_vec(&value).unwrap())
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over() {
        let report = changed(|value| {
            value["schema"] = "tracer.report/2.7".into();
            value["later"] = 1.into();
            value["flows"][0]["later"] = "x".into();
            value["postgres"]["series"][0]["later"] = Value::Null;
        });
        assert!(!report.unwrap().flows.is_empty());
    }

    #[test]
    fn a_word_of_a_later_version_is_named() {
        let report = changed(|value| value["findings"][0]["cause"] = "later_cause".into());
        let error = report.unwrap_err().to_string();
        assert!(error.contains("`later_cause`"), "{error}");
    }

    #[test]
    fn what_nothing_can_have_measured_is_refused() {
        for (pointer, number) in [
            ("/window/duration_s", -1.0),
            ("/flows/0/rto_ms", -200.0),
            ("/postgres/series/0/took_ms", -0.5),
            ("/findings/0/size/explained_percent", 180.0),
        ] {
            let shown = changed(|value| *value.pointer_mut(pointer).unwrap() = number.into());
            let shown = shown.unwrap_err().to_string();
            assert!(shown.contains(&format!("{pointer} is {number}")), "{shown}");
        }
    }

    #[test]
    fn what_is_no_report_is_told_in_a_line() {
        let said = |bytes: &[u8]| Report::read(bytes).unwrap_err().to_string();
        let schema = |schema: &str| said(format!("{{\"schema\": \"{schema}\"}}").as_bytes());
        for (line, words) in [
            (said(b""), "not JSON"),
            (said(b"\xff\xfe"), "not JSON"),
            (said(b"[1, 2]"), "without a `schema`"),
            (said(b"{\"a\": 1}"), "without a `schema`"),
            (schema("tracer.check/1"), "tracer.check/1"),
            (
                schema("tracer.report/3"),
                "this tracer reads `tracer.report/2` and `tracer.report/1`",
            ),
            (schema("tracer.report/10"), "this tracer reads"),
            (schema("tracer.report/1"), "missing field"),
        ] {
            assert!(line.contains(words), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
        let wrong = changed(|value| value["totals"]["segments"] = "many".into());
        assert!(wrong.unwrap_err().to_string().contains("many"));
    }

    #[test]
    fn what_stands_in_a_file_does_no_harm_in_the_message_about_it() {
        let escapes = r"\u001b[2J\u202e\n";
        for file in [
            format!(r#"{{"schema": "{escapes}"}}"#),
            format!(r#"{{"schema": "tracer.report/{escapes}"}}"#),
            format!(
                r#"{{"schema": "tracer.report/2", "tool": {{"name": "{escapes}", "version": 1}}}}"#
            ),
            format!(r#"{{"schema": "tracer.report/2", "tool": "{escapes}"}}"#),
        ] {
            let shown = Report::read(file.as_bytes()).unwrap_err().to_string();
            let harm = shown.chars().any(crate::text::does_harm);
            assert!(!harm, "{shown:?}");
        }
    }
}
