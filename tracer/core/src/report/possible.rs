//! Numbers that no run can have measured: a report that holds one was not written by this
//! program, or was changed, and nothing else in it is to be believed.
//!
//! It looks at the file as a stream, by the names that numbers have, which end with their
//! unit; which fields there are is the report's own business.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// What may be below zero: what two clocks differ by, and what is the difference of two
/// things that are not read at one moment.
const SIGNED: &[&str] = &[
    "applied_ms",
    "at_least_ms",
    "at_most_ms",
    "difference",
    "last_commit_age_ms",
    "message_age_ms",
    "offset_ms",
    "retained_bytes",
];
/// The same, with whatever stands before or behind it.
const SIGNED_KINDS: &[&str] = &["lag_bytes", "reply_age"];

/// Longer than any run, in seconds: a century.
pub(crate) const LONGEST_S: f64 = 3.2e9;

/// What sums of rounded numbers may be above what they cannot exceed.
const ROUNDING: f64 = 1e-6;

/// Looks at every number of a text in JSON.
///
/// # Errors
/// If one of them is impossible, with its path; or what the text has instead of JSON.
pub fn check(bytes: &[u8]) -> serde_json::Result<()> {
    let mut path = Vec::new();
    let mut json = serde_json::Deserializer::from_slice(bytes);
    Walk { path: &mut path }.deserialize(&mut json)?;
    json.end()
}

/// One step from the whole to a value.
enum PathStep<'de> {
    Key(Cow<'de, str>),
    Index(usize),
}

/// A value, at the end of the path.
struct Walk<'path, 'de> {
    path: &'path mut Vec<PathStep<'de>>,
}

impl<'de> Walk<'_, 'de> {
    fn number<E: Error>(&self, number: f64) -> Result<(), E> {
        let name = self.path.iter().rev().find_map(|step| match step {
            PathStep::Key(name) => Some(name.as_ref()),
            PathStep::Index(_) => None,
        });
        match name.and_then(|name| wrong(name, number)) {
            None => Ok(()),
            Some(why) => Err(E::custom(format_args!(
                "{} is {number}: {why}",
                Pointer(self.path)
            ))),
        }
    }
}

/// Why nothing of this name can have measured this.
fn wrong(name: &str, number: f64) -> Option<&'static str> {
    let is_signed =
        || SIGNED.contains(&name) || SIGNED_KINDS.iter().any(|kind| name.contains(kind));
    if number < 0.0 && !is_signed() {
        return Some("it cannot be below zero");
    }
    let most = if name.ends_with("_percent") {
        100.0
    } else if name.ends_with("_share") {
        1.0
    } else if name.ends_with("_ms") {
        LONGEST_S * 1e3
    } else if name.ends_with("_s") && !name.ends_with("per_s") {
        LONGEST_S
    } else {
        return None;
    };
    (number.abs() > most * (1.0 + ROUNDING)).then_some("it cannot be as large")
}

/// As in [RFC 6901](https://www.rfc-editor.org/rfc/rfc6901).
struct Pointer<'a, 'de>(&'a [PathStep<'de>]);

impl fmt::Display for Pointer<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in self.0 {
            match step {
                PathStep::Key(name) => write!(f, "/{name}")?,
                PathStep::Index(number) => write!(f, "/{number}")?,
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.number(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.number(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.number(number)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        let mut number = 0;
        loop {
            self.path.push(PathStep::Index(number));
            let next = values.next_element_seed(Walk { path: self.path })?;
            self.path.pop();
            if next.is_none() {
                return Ok(());
            }
            number += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<Cow<'de, str>>()? {
            self.path.push(PathStep::Key(name));
            fields.next_value_seed(Walk { path: self.path })?;
            self.path.pop();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> Option<String> {
        check(text.as_bytes()).err().map(|error| error.to_string())
    }

    #[test]
    fn what_cannot_be_is_told_with_its_place() {
        for (text, words) in [
            (
                r#"{"flows": [{"rto_ms": 1}, {"rto_ms": -3.5}]}"#,
                "/flows/1/rto_ms is -3.5: it cannot be below zero",
            ),
            (r#"{"a": {"segments": [3, -1]}}"#, "/a/segments/1 is -1"),
            (r#"{"explained_percent": 100.1}"#, "as large"),
            (r#"{"wait_share": 1.5}"#, "as large"),
            (r#"{"duration_s": 18446727403}"#, "as large"),
            (r#"{"offset_ms": -4e12}"#, "as large"),
        ] {
            let complaint = complaint(text).unwrap_or_else(|| panic!("nothing complaint: {text}"));
            assert!(complaint.contains(words), "{complaint}");
        }
    }

    #[test]
    fn what_can_be_is_left() {
        for text in [
            r#"{"difference": -3, "flush_lag_bytes_max": -16, "reply_age_ms_max": -0.2}"#,
            r#"{"explained_percent": 100.00000000001, "bytes": 18446744073709551615}"#,
            r#"{"calls_per_s": 1e11, "a": null, "b": [true, "x\u001b", {}], "c\n": 1}"#,
            "[1, -1]",
        ] {
            assert_eq!(complaint(text), None, "{text}");
        }
        assert!(complaint("{} x").is_some() && complaint("").is_some());
    }
}
