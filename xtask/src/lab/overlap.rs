//! How much of slow commits was the wait for a segment that was retransmitted.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tracer_core::report::Report;

use super::outcome::time;
use crate::lab::format::{self, known};
use crate::testbed::file;
use crate::testbed::postgres::PORT;
use crate::testbed::quantile::quantile;

/// A slow commit's wait for the standby.
#[derive(Debug, Clone, Copy)]
struct Wait {
    from: SystemTime,
    to: SystemTime,
    share: f64,
}

/// Of all slow commits.
#[derive(Debug, PartialEq)]
pub(super) struct Overlap {
    pub(super) commits: usize,
    /// How many waited while a reply was retransmitted.
    pub(super) overlapped: usize,
    /// Of the slow commits' time, what was the wait for the standby.
    pub(super) wait_share: Option<f64>,
    /// Of that wait, what lies before the last time that a reply was retransmitted in
    /// it: what came after was the answer's way. The median.
    pub(super) explained: Option<f64>,
}

/// Puts the slow commits that the primary's host saw beside the times at which the
/// standby's host retransmitted a reply.
pub(super) fn of(primary: &Report, events: &Path) -> Result<Overlap> {
    Ok(overlap(
        &waits(primary),
        &retransmitted(&file::read_text(events)?),
    ))
}

fn waits(primary: &Report) -> Vec<Wait> {
    let commits = primary.commits.iter();
    commits
        .flat_map(|commits| &commits.slow)
        .filter_map(|slow| {
            let length = |ms: f64| Duration::from_secs_f64(ms.max(0.0) / 1000.0);
            let (total, wait) = (length(slow.total_ms), length(slow.wait_ms));
            // The wait is the last of a commit's parts.
            let to = time(&slow.start)? + total;
            Some(Wait {
                from: to - wait,
                to,
                share: wait.as_secs_f64() / total.as_secs_f64().max(f64::MIN_POSITIVE),
            })
        })
        .collect()
}

/// A line of tracer's events, of which only this is of interest.
#[derive(Deserialize)]
struct Line {
    event: String,
    time: Timestamp,
    remote: Remote,
}

#[derive(Deserialize)]
struct Remote {
    port: u16,
}

/// When the standby retransmitted a segment of its replies.
fn retransmitted(lines: &str) -> Vec<SystemTime> {
    let events = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Line>(line).ok());
    events
        .filter(|line| line.event == "retransmit" && line.remote.port == PORT)
        .map(|line| line.time.into())
        .collect()
}

fn overlap(waits: &[Wait], retransmitted: &[SystemTime]) -> Overlap {
    let share = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
    let length = |wait: &Wait| {
        let length = wait.to.duration_since(wait.from);
        length.unwrap_or_default().as_secs_f64()
    };
    let explained: Vec<u32> = waits
        .iter()
        .filter_map(|wait| {
            let inside = retransmitted
                .iter()
                .filter(|at| wait.from <= **at && **at <= wait.to);
            let last = inside.max()?;
            let until = last.duration_since(wait.from).unwrap_or_default();
            // Per mille, so that shares have an order.
            Some((1000.0 * share(until.as_secs_f64(), length(wait))?) as u32)
        })
        .collect();
    let waited: f64 = waits.iter().map(length).sum();
    let whole: f64 = waits
        .iter()
        .map(|wait| length(wait) / wait.share.max(f64::MIN_POSITIVE))
        .sum();
    Overlap {
        commits: waits.len(),
        overlapped: explained.len(),
        wait_share: share(waited, whole),
        explained: quantile(&explained, 0.5).map(|it| f64::from(it) / 1000.0),
    }
}

impl Overlap {
    pub(super) fn json(&self) -> Value {
        json!({
            "slow_commits": self.commits,
            "waited_while_a_reply_was_sent_again": self.overlapped,
            "share_of_their_time_that_was_the_wait": self.wait_share,
            "median_share_of_the_wait_up_to_the_last_such_reply": self.explained,
        })
    }

    pub(super) fn words(&self) -> Vec<String> {
        let percent = |share| known(share, |share: f64| format::percent(&(100.0 * share)));
        vec![
            format!(
                "{} commits were slow; {} of their time was the wait for the standby",
                self.commits,
                percent(self.wait_share)
            ),
            format!(
                "{} of them waited while a reply of the standby was retransmitted; of such a wait, {} (median) lay before the last of these segments",
                self.overlapped,
                percent(self.explained)
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbed::sample_report;

    #[test]
    fn a_wait_is_explained_up_to_the_last_segment_in_it() {
        let at = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        let wait = |from, to| Wait {
            from: at(from),
            to: at(to),
            share: 0.5,
        };
        let waits = [wait(1000, 2000), wait(5000, 6000)];
        let seen = overlap(&waits, &[at(1200), at(1600), at(4000)]);
        assert_eq!((seen.commits, seen.overlapped), (2, 1));
        assert_eq!(seen.explained, Some(0.6));
        assert_eq!(seen.wait_share, Some(0.5));
        let none = overlap(&[], &[]);
        assert_eq!((none.wait_share, none.explained), (None, None));
    }

    #[test]
    fn parts_and_events_are_read_from_what_tracer_writes() {
        let mut report = sample_report::full();
        let slow = &mut report.commits.as_mut().unwrap().slow;
        slow.truncate(1);
        slow[0].start = "1970-01-01T00:00:01Z".to_owned();
        (slow[0].total_ms, slow[0].wait_ms) = (400.0, 300.0);
        let [wait] = waits(&report)[..] else {
            panic!("one commit")
        };
        let from = wait.from.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(from, Duration::from_millis(1100));
        let lines = r#"{"event":"retransmit","time":"1970-01-01T00:00:02Z","remote":{"port":5432}}
{"event":"retransmit","time":"1970-01-01T00:00:02Z","remote":{"port":2379}}
{"event":"state","time":"1970-01-01T00:00:02Z","remote":{"port":5432}}
"#;
        assert_eq!(retransmitted(lines).len(), 1);
    }
}
