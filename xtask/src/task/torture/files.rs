//! What the tool has written: whole, or not at all.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use tracer_core::report::{self, Fault, Report};

use super::blow::Output;
use super::expected::ReportFile;
use super::plan::RoundPlan;
use super::stage::{OLD, Stage};
use crate::testbed::command;
use crate::testbed::injection::{self, Injection};

/// In so long a time, whoever waits for an answer sends again.
const LONG: SignedDuration = SignedDuration::from_secs(1);
/// How often a folder is emptied that fills again.
const TRIES: u32 = 10;
/// The machine's clock may be set right meanwhile.
const SLACK: SignedDuration = SignedDuration::from_secs(2);

/// What stands where the report belongs, and what it says if it is the tool's.
pub(super) fn report(stage: &Stage) -> (ReportFile, Option<WrittenReport>) {
    let path = stage.outside(&stage.path(Output::Json));
    let Ok(bytes) = fs::read(&path) else {
        return (ReportFile::Absent, None);
    };
    if bytes == OLD.as_bytes() {
        return (ReportFile::Old, None);
    }
    match whole(&bytes) {
        Ok(written) => (ReportFile::New, Some(written)),
        Err(why) => (ReportFile::Half(why), None),
    }
}

pub(super) enum WrittenReport {
    Run(Box<Report>),
    Injection(Injection),
}

impl WrittenReport {
    pub(super) fn run(&self) -> Option<&Report> {
        match self {
            Self::Run(report) => Some(report),
            Self::Injection(_) => None,
        }
    }

    pub(super) fn faults(&self) -> &[Fault] {
        match self {
            Self::Run(report) => &report.faults,
            Self::Injection(injection) => &injection.faults,
        }
    }
}

fn whole(bytes: &[u8]) -> Result<WrittenReport, String> {
    let read = match report::schema(bytes) {
        Ok(schema) if schema == injection::SCHEMA => {
            Injection::read(bytes).map(WrittenReport::Injection)
        }
        _ => Report::read(bytes).map(|report| WrittenReport::Run(Box::new(report))),
    };
    read.map_err(|error| format!("{} bytes that are no report: {error}", bytes.len()))
}

/// Removes the folder of an output with all that is in it; says whether the tool's whole
/// report was among that.
pub(super) fn remove(folder: &Path, output: Output) -> bool {
    let folder = folder.join(output.folder());
    let mut taken = false;
    // The tool may just be making a file in it.
    for _ in 0..TRIES {
        for name in names(&folder) {
            let path = folder.join(name);
            taken |= fs::read(&path).is_ok_and(|bytes| whole(&bytes).is_ok());
            let _ = fs::remove_file(path);
        }
        if fs::remove_dir(&folder).is_ok() {
            break;
        }
    }
    taken && output == Output::Json
}

/// What is wrong with what the tool left in the folders, a line each.
pub(super) fn faults(plan: &RoundPlan, stage: &Stage, tracer: &Path, torn: bool) -> Vec<String> {
    let mut found = Vec::new();
    for output in Output::ALL {
        let folder = stage.folder().join(output.folder());
        for name in names(&folder) {
            if name != output.name() {
                found.push(format!("{name} is left in the folder of {output}"));
            }
        }
    }
    for name in names(&stage.folder().join("second")) {
        if name != "second.json" {
            found.push(format!("{name} is left in the folder of the second tool"));
        }
    }
    if let Ok(bytes) = fs::read(stage.outside(&stage.second()))
        && let Err(why) = whole(&bytes)
    {
        found.push(format!("the second tool's report is {why}"));
    }
    found.extend(events(&stage.outside(&stage.path(Output::Events)), torn).err());
    let path = stage.outside(&stage.path(Output::Json));
    if plan.scene.counts() && report(stage).0 == ReportFile::New {
        found.extend(unreadable(tracer, &path));
    }
    found
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

/// Each line is one event; only a tool that was killed leaves a part of one, at the end.
fn events(path: &Path, torn: bool) -> Result<(), String> {
    let Ok(bytes) = fs::read(path) else {
        return Ok(());
    };
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    match lines.pop() {
        None | Some([]) => {}
        Some(_) if torn => {}
        Some(rest) => {
            let rest = String::from_utf8_lossy(rest);
            return Err(format!("--events ends with a part of a line: {rest}"));
        }
    }
    for line in lines {
        if let Err(error) = serde_json::from_slice::<Value>(line) {
            let line = String::from_utf8_lossy(line);
            return Err(format!("a line of --events is no JSON: {error}: {line}"));
        }
    }
    Ok(())
}

/// What is dated before the round or after it, a line each.
pub(super) fn misdated(stage: &Stage, faults: &[Fault], begun: Timestamp) -> Vec<String> {
    let path = stage.outside(&stage.path(Output::Events));
    let events = fs::read_to_string(path).unwrap_or_default();
    let events = events
        .lines()
        .filter_map(|line| serde_json::from_str::<Event>(line).ok());
    let mut dates: Vec<(&str, String)> = events.map(|event| ("an event", event.time)).collect();
    for fault in faults {
        dates.push(("a fault's start", fault.started.clone()));
        dates.push(("a fault's end", fault.ended.clone()));
    }
    wrong(&dates, begun - SLACK, Timestamp::now() + SLACK)
}

/// A line of the events, of which only this is of interest.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    time: String,
}

fn wrong(dates: &[(&str, String)], begun: Timestamp, over: Timestamp) -> Vec<String> {
    let mut found = Vec::new();
    for (what, date) in dates {
        let moment = date.parse::<Timestamp>();
        if !moment.is_ok_and(|moment| (begun..=over).contains(&moment)) {
            found.push(format!(
                "{what} is dated `{date}`, not in {begun} to {over}"
            ));
        }
    }
    // One says it all.
    found.truncate(3);
    found
}

/// What is wrong with how many packets the report says were hit, a line each; `surely` is
/// whether packets were sent all the time.
pub(super) fn misses(faults: &[Fault], surely: bool) -> Vec<String> {
    let mut found = Vec::new();
    for Fault { fault, .. } in faults {
        let hit = fault.hit.unwrap_or_default();
        if let Some([least, most]) = fault.expected_hits
            && !(least..=most).contains(&hit)
        {
            found.push(format!("{hit} packets were hit, and not {least} to {most}"));
        }
    }
    let date = |text: &str| text.parse::<Timestamp>().ok();
    let long = |made: &Fault| {
        let lasted = date(&made.started).zip(date(&made.ended));
        lasted.is_some_and(|(started, ended)| ended.duration_since(started) >= LONG)
    };
    let saw_none = |made: &Fault| made.fault.seen.unwrap_or_default() == 0;
    // Where it is one of both directions, one of them may have had nothing to hit.
    if surely && faults.iter().any(long) && faults.iter().all(saw_none) {
        found.push("packets were sent, and its fault has seen none".to_owned());
    }
    found
}

/// Why `tracer report` cannot make a page of it.
fn unreadable(tracer: &Path, report: &Path) -> Option<String> {
    let mut command = Command::new(tracer);
    command.arg("report").arg(report);
    command.args(["--format", "html"]).stdin(Stdio::null());
    match command::output(&mut command) {
        Ok(page) if page.trim_end().ends_with("</html>") => None,
        Ok(page) => Some(format!(
            "`tracer report` makes half a page of {} bytes",
            page.len()
        )),
        Err(error) => Some(format!("`tracer report` cannot read the report: {error:#}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbed::sample_report;

    #[test]
    fn half_a_report_is_none() {
        let report = serde_json::to_vec(&sample_report::full()).unwrap();
        assert!(whole(&report).is_ok_and(|written| written.run().is_some()));
        assert!(whole(&report[..report.len() / 2]).is_err());
        let injection =
            br#"{"schema":"tracer.inject/1","tool":{"name":"","version":""},"faults":[]}"#;
        assert!(whole(injection).is_ok_and(|written| written.run().is_none()));
        assert!(whole(&injection[..20]).is_err());
        assert!(whole(b"{\"schema\":\"tracer.report/1\"}").is_err());
        assert!(whole(b"").is_err());
        assert!(whole(b"{}").is_err());
    }

    #[test]
    fn what_is_dated_outside_of_the_round_is_wrong() {
        let [begun, over] = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z"]
            .map(|text| text.parse::<Timestamp>().unwrap());
        let of = |date: &str| wrong(&[("it", date.to_owned())], begun, over).len();
        assert_eq!(of("2026-01-01T00:00:03.000001Z"), 0);
        assert_eq!(of("2025-12-31T23:59:59Z"), 1);
        assert_eq!(of("2026-01-01T00:00:06Z"), 1);
        assert_eq!(of("soon"), 1);
        assert_eq!(of(""), 1);
    }

    #[test]
    fn a_fault_hits_what_is_sent_as_chance_allows() {
        let of = |seen: u64, hit: u64, seconds: u32, surely| {
            let ended = format!("2026-01-01T00:00:{seconds:02}Z");
            let mut made = sample_report::fault("2026-01-01T00:00:00Z", &ended);
            (made.fault.seen, made.fault.hit) = (Some(seen), Some(hit));
            made.fault.expected_hits = Some([2, 9]);
            misses(&[made], surely).len()
        };
        assert_eq!(of(10, 5, 2, true), 0);
        assert_eq!(of(10, 1, 2, true), 1);
        assert_eq!(of(0, 2, 2, true), 1);
        assert_eq!(of(0, 2, 0, true), 0);
        assert_eq!(of(0, 2, 2, false), 0);
        assert_eq!(misses(&[], true).len(), 0);
    }

    #[test]
    fn a_torn_line_is_excused_at_the_end_of_who_was_killed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        assert!(events(&path, false).is_ok(), "there need be none");
        fs::write(&path, "{\"a\":1}\n{\"b\"").unwrap();
        assert!(events(&path, true).is_ok());
        assert!(events(&path, false).is_err());
        fs::write(&path, "{\"a\":1}\n{\"b\"\n{}\n").unwrap();
        assert!(events(&path, true).is_err());
        fs::write(&path, "{\"a\":1}\n{}\n").unwrap();
        assert!(events(&path, false).is_ok());
    }
}
