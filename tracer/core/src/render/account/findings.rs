//! What was found, and what it rests on.

use serde_json::Value;

use crate::render::document::{Block, Table};
use crate::render::table::milliseconds;
use crate::render::verdict::confidence;
use crate::report::Report;
use crate::report::finding::{Cause, Finding, Size};
use crate::text::{self, bytes};

/// A value longer than this is not shown whole.
const MAX_VALUE: usize = 120;

pub(crate) fn blocks(report: &Report) -> Vec<Block> {
    if report.findings.is_empty() {
        return Vec::new();
    }
    // Where evidence is looked up: in what the JSON holds.
    let json = serde_json::to_value(report).unwrap_or_default();
    let findings = report.findings.iter().enumerate();
    findings
        .flat_map(|(index, finding)| one(index + 1, finding, &json))
        .collect()
}

/// A finding in three blocks: what, how much, and where to look.
pub(crate) fn one(number: usize, finding: &Finding, json: &Value) -> [Block; 3] {
    let mut facts = vec![
        format!("confidence {}", confidence(finding.confidence)),
        format!("cause {}", word(&finding.cause)),
    ];
    facts.extend(sizes(&finding.size, finding.cause));
    let mut evidence = Table::new("Evidence, in the report | >What is there");
    for pointer in &finding.evidence {
        let found = json.pointer(pointer);
        evidence.row([pointer.clone(), found.map_or("nothing".to_owned(), shown)]);
    }
    [
        Block::Heading(format!("{number}. {}", finding.text)),
        Block::Text(facts.join("; ") + "."),
        Block::Table(evidence),
    ]
}

/// An enum's name as in the JSON.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => "?".to_owned(),
    }
}

fn sizes(size: &Size, cause: Cause) -> Vec<String> {
    let seconds = |value: Option<f64>, what: &str| value.map(|s| format!("{what} {s:.1} s"));
    let duration = |value: Option<f64>, what: &str| {
        value.map(|ms| format!("{what} {}", milliseconds(Some(ms))))
    };
    let facts = [
        seconds(size.duration_s, "seen for"),
        size.waited_s
            .map(|s| format!("backends waited {s:.1} s, all added up")),
        size.waiters_max.map(|n| format!("at most {n} at once")),
        size.explained_percent
            .map(|share| format!("explains {share:.0} % of {}", explained(size))),
        size.segments.map(text::segments),
        size.rto_doublings
            .map(|n| format!("timeout {}", text::doubled(n))),
        duration(size.rto_max_ms, "largest timeout"),
        seconds(size.silent_s, "no reply for"),
        duration(size.round_trip_ms, "round trip up to"),
        seconds(size.starved_s, "without a processor"),
        size.starved_percent
            .map(|share| format!("{share:.0} % of the time in which commits were slow")),
        duration(size.commit_max_ms, "slowest commit"),
        size.lag_bytes.map(|lag| lag_words(lag, cause)),
    ];
    facts.into_iter().flatten().collect()
}

/// What a share is of: where samples showed who waited, there is the most of them at once.
fn explained(size: &Size) -> &'static str {
    match size.waiters_max {
        Some(_) => "the waiting for a standby",
        None => "the time that slow commits took",
    }
}

fn lag_words(lag: i64, cause: Cause) -> String {
    match cause {
        _ if lag < 0 => format!("the standby is ahead by {}", bytes(lag.saturating_neg())),
        Cause::StandbyApply => format!("not replayed {}", bytes(lag)),
        _ => format!("not flushed {}", bytes(lag)),
    }
}

/// A value of the report in a few words.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) if text.is_empty() => "(empty)".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("{} entries", list.len()),
        Value::Object(fields) => match fields.get("offset_s") {
            // A series, by figure.
            Some(Value::Array(list)) => format!("{} entries", list.len()),
            _ => format!("{} fields", fields.len()),
        },
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => format!("{}", (float * 1e3).round() / 1e3),
            _ => number.to_string(),
        },
        other => other.to_string(),
    };
    match text.char_indices().nth(MAX_VALUE) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_says_of_what() {
        let of = |size: Size| sizes(&size, Cause::LossOfReplies).join("; ");
        assert_eq!(
            of(Size {
                explained_percent: Some(98.4),
                ..Size::default()
            }),
            "explains 98 % of the time that slow commits took"
        );
        assert_eq!(
            of(Size {
                waiters_max: Some(2),
                explained_percent: Some(98.4),
                ..Size::default()
            }),
            "at most 2 at once; explains 98 % of the waiting for a standby"
        );
        assert_eq!(
            of(Size {
                starved_s: Some(33.6),
                starved_percent: Some(90.0),
                ..Size::default()
            }),
            "without a processor 33.6 s; 90 % of the time in which commits were slow"
        );
    }

    #[test]
    fn what_the_standby_lacks_is_told_by_what_it_is_slow_to_do() {
        let of = |cause, lag_bytes| {
            let size = Size {
                lag_bytes: Some(lag_bytes),
                ..Size::default()
            };
            sizes(&size, cause).join("; ")
        };
        assert_eq!(of(Cause::StandbyApply, 1_752), "not replayed 1752 B");
        assert_eq!(of(Cause::StandbyFlush, 1_752), "not flushed 1752 B");
        let ahead = of(Cause::SyncWaitOff, -2_000_000);
        assert_eq!(ahead, "the standby is ahead by 2000 kB");
    }
}
