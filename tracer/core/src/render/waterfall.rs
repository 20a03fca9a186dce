//! One commit on a time axis of its own: a bar for each part, one after the other, and
//! below them what happened on the wire meanwhile.

use crate::merge::journey::{BeyondHost, JourneyStages};
use crate::render::stages::what;
use crate::render::table::milliseconds;
use crate::report::commits::SlowReport;
use crate::report::stages::{BAD_CHECKSUM, CommitEvent, Stage};
use crate::text::{columns, padded, padded_before};

/// A bar takes no fewer columns than this, however narrow the terminal is.
const MIN_BAR: usize = 20;
/// The most events that are told in words; the JSON has all.
const MAX_TOLD: usize = 20;
/// A bar that would take less of a column is drawn thin: a whole one would show more than it was.
const LEAST_COLUMN: f64 = 0.5;
const THIN: &str = "▏";
/// How a retransmit after a timeout is marked; in small letters that of the standby.
const TIMEOUT: char = 'T';

/// A commit, as it is drawn.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Waterfall {
    /// All of it, ms.
    pub(crate) total_ms: f64,
    /// In order.
    pub(crate) bars: Vec<WaterfallBar>,
    /// Likewise.
    pub(crate) marks: Vec<WaterfallMark>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WaterfallBar {
    pub(crate) name: &'static str,
    pub(crate) from_ms: f64,
    pub(crate) took_ms: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WaterfallMark {
    pub(crate) after_ms: f64,
    /// How it is marked on the axis.
    pub(crate) sign: char,
    /// What happened.
    pub(crate) text: String,
}

impl Waterfall {
    pub(crate) fn of(commit: &SlowReport) -> Self {
        // A wait that no reply ended is in no stage.
        let stages = commit.stages_ms.filter(|_| commit.walsender_pid.is_some());
        let wait = stages.map_or_else(
            || vec![("wait for a standby", commit.wait_ms)],
            |stages| {
                Stage::ALL
                    .map(|stage| (what(stage), *stages.of(stage)))
                    .to_vec()
            },
        );
        Self::with(commit, wait)
    }

    /// The same through both hosts, as far as it is known when its WAL arrived at the standby.
    pub(crate) fn of_both(commit: &SlowReport, beyond: &BeyondHost) -> Self {
        let Some(arrived_ms) = beyond.arrived_ms else {
            return Self::of(commit);
        };
        let mut waterfall = Self::with(commit, wait_through_both(&beyond.stages_ms).to_vec());
        waterfall.marks.extend(beyond.events.iter().map(|one| {
            let mut mark = mark(one, Seen::Standby);
            mark.after_ms += arrived_ms;
            mark
        }));
        let marks = &mut waterfall.marks;
        marks.sort_by(|a, b| a.after_ms.total_cmp(&b.after_ms));
        waterfall
    }

    /// A commit whose wait was made of this, ms.
    fn with(commit: &SlowReport, wait: Vec<(&'static str, f64)>) -> Self {
        let before = [
            ("before the flush", commit.rest_ms),
            ("flush of its WAL", commit.flush_ms),
        ];
        let mut reached_ms = 0.0;
        let bars = before.into_iter().chain(wait).map(|(name, took_ms)| {
            let from_ms = reached_ms;
            reached_ms += took_ms;
            WaterfallBar {
                name,
                from_ms,
                took_ms,
            }
        });
        let bars: Vec<_> = bars.filter(|bar| bar.took_ms > 0.0).collect();
        Self {
            total_ms: commit.total_ms,
            bars,
            marks: commit
                .events
                .iter()
                .map(|one| mark(one, Seen::Primary))
                .collect(),
        }
    }

    /// How far along the axis a moment is, 0 to 1.
    pub(crate) fn share(&self, at_ms: f64) -> f64 {
        let share = at_ms / self.total_ms;
        if share.is_finite() {
            share.clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    /// What happened on the wire, in words. Of more than are told, timeouts come first: they are
    /// what a commit waited for.
    pub(crate) fn told(&self) -> Vec<String> {
        let timeouts = self.marks.iter().filter(|one| one.is_timeout()).count();
        let mut others = MAX_TOLD.saturating_sub(timeouts);
        let marks = self.marks.iter().filter(|one| {
            let is_other = !one.is_timeout();
            let is_told = !is_other || others > 0;
            others = others.saturating_sub(usize::from(is_other));
            is_told
        });
        let mut told: Vec<String> = marks
            .take(MAX_TOLD)
            .map(|mark| {
                let after = milliseconds(Some(mark.after_ms));
                format!("{} after {after}: {}", mark.sign, mark.text)
            })
            .collect();
        let more = self.marks.len().saturating_sub(MAX_TOLD);
        if more > 0 {
            told.push(format!("and {more} more, in the JSON"));
        }
        told
    }

    /// In characters, no line longer than `width` unless that is very little.
    pub(crate) fn lines(&self, width: usize) -> Vec<String> {
        const WIRE: &str = "on the wire";
        let took: Vec<String> = self
            .bars
            .iter()
            .map(|bar| milliseconds(Some(bar.took_ms)))
            .collect();
        let names = self.bars.iter().map(|bar| columns(bar.name));
        let names = names.chain([WIRE.len()]).max().unwrap_or(0);
        let numbers = took.iter().map(|took| columns(took)).max().unwrap_or(0);
        let room = width.saturating_sub(names + numbers + 6).max(MIN_BAR);
        let column = |at_ms: f64| (self.share(at_ms) * room as f64).round() as usize;
        let mut lines: Vec<String> = self
            .bars
            .iter()
            .zip(&took)
            .map(|(bar, took)| {
                let from = column(bar.from_ms).min(room - 1);
                let to = column(bar.from_ms + bar.took_ms).clamp(from + 1, room);
                let drawn = if self.share(bar.took_ms) * (room as f64) < LEAST_COLUMN {
                    THIN.to_owned()
                } else {
                    "█".repeat(to - from)
                };
                format!(
                    "{}  {}  |{}{}{}|",
                    padded(bar.name, names),
                    padded_before(took, numbers),
                    " ".repeat(from),
                    drawn,
                    " ".repeat(room - to)
                )
            })
            .collect();
        if !self.marks.is_empty() {
            let mut axis = vec![' '; room];
            // Where several share a column, a timeout is what is seen.
            let (timeouts, others): (Vec<_>, Vec<_>) =
                self.marks.iter().partition(|one| one.is_timeout());
            for mark in others.into_iter().chain(timeouts) {
                if let Some(place) = axis.get_mut(column(mark.after_ms).min(room - 1)) {
                    *place = mark.sign;
                }
            }
            let axis: String = axis.into_iter().collect();
            let gap = " ".repeat(numbers);
            lines.push(format!("{}  {gap}  |{axis}|", padded(WIRE, names)));
        }
        lines
    }
}

/// The stages of a wait in the order in which they came, where the two ways of the network are
/// known apart.
fn wait_through_both(stages: &JourneyStages) -> [(&'static str, f64); 11] {
    [
        ("handover to the walsender", stages.handover),
        ("on the way to the standby", stages.network_out),
        ("read by the walreceiver", stages.standby_read),
        ("written on the standby", stages.standby_write),
        ("flushed on the standby", stages.standby_flush),
        ("standby's reply sent", stages.standby_reply),
        ("replayed on the standby", stages.standby_apply),
        ("reply on its way back", stages.network_back),
        ("reply read", stages.release),
        ("backend woken", stages.wakeup),
        ("unexplained", stages.unexplained),
    ]
}

impl WaterfallMark {
    fn is_timeout(&self) -> bool {
        self.sign.eq_ignore_ascii_case(&TIMEOUT)
    }
}

/// What happened on the standby's connection, in words.
pub(crate) fn told_on_standby(event: &CommitEvent) -> String {
    mark(event, Seen::Standby).text
}

/// On which host something was seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Primary,
    Standby,
}

fn mark(event: &CommitEvent, on: Seen) -> WaterfallMark {
    let (segments, them) = match event.segments {
        1 => ("a segment".to_owned(), "it"),
        several => (format!("{several} segments"), "them"),
    };
    let timeout = event.timeout_ms.map_or_else(String::new, |ms| {
        format!(" after a timeout of {}", milliseconds(Some(ms)))
    });
    let other = match on {
        Seen::Primary => "standby",
        Seen::Standby => "primary",
    };
    let (sign, text) = match event.what.as_str() {
        "rto" => (TIMEOUT, format!("retransmitted {segments}{timeout}")),
        "tlp" => (
            'P',
            format!("retransmitted {segments} as a tail loss probe"),
        ),
        BAD_CHECKSUM => (
            'X',
            format!(
                "received {segments} from the {other} with a bad checksum, and discarded {them}"
            ),
        ),
        kind => ('R', format!("retransmitted {segments} ({kind})")),
    };
    let (sign, text) = match on {
        Seen::Primary => (sign, text),
        Seen::Standby => (sign.to_ascii_lowercase(), format!("the standby {text}")),
    };
    WaterfallMark {
        after_ms: event.after_ms,
        sign,
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::stages::ByStage;

    fn commit() -> SlowReport {
        let event = |after_ms, what: &str, timeout_ms| CommitEvent {
            after_ms,
            what: what.to_owned(),
            segments: 1,
            timeout_ms,
        };
        SlowReport {
            start: "2026-01-01T00:00:00Z".to_owned(),
            offset_s: 1.0,
            pid: 7,
            server_pid: 5,
            total_ms: 1_000.0,
            flush_ms: 100.0,
            wait_ms: 890.0,
            rest_ms: 10.0,
            awaited: None,
            stages_ms: Some(ByStage {
                handover: 0.0,
                acknowledged: 640.0,
                remote: 200.0,
                release: 50.0,
                wakeup: 0.0,
                unexplained: 0.0,
            }),
            walsender_pid: Some(6),
            events: vec![
                event(310.0, "rto", Some(204.0)),
                event(720.0, "rto", Some(408.0)),
                event(800.0, BAD_CHECKSUM, None),
            ],
            wait_in_recovery_ms: None,
            lsn: "0/3002208".to_owned(),
        }
    }

    #[test]
    fn parts_follow_each_other_and_events_stand_below_their_time() {
        let waterfall = Waterfall::of(&commit());
        let lines = waterfall.lines(60);
        assert!(lines.iter().all(|line| columns(line) <= 60), "{lines:#?}");
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(
                "waterfall",
                format!("{}\n{}", lines.join("\n"), waterfall.told().join("\n"))
            );
        });
    }

    #[test]
    fn what_the_standby_did_stands_among_what_the_primary_did() {
        let event = |after_ms, what: &str, timeout_ms| CommitEvent {
            after_ms,
            what: what.to_owned(),
            segments: 1,
            timeout_ms,
        };
        let mut beyond = BeyondHost {
            told: String::new(),
            stages_ms: JourneyStages {
                handover: 1.0,
                network_out: 700.0,
                standby_flush: 5.0,
                network_back: 99.0,
                ..JourneyStages::default()
            },
            arrived_ms: Some(730.0),
            events: vec![
                event(5.0, BAD_CHECKSUM, None),
                event(40.0, "rto", Some(408.0)),
            ],
        };
        let waterfall = Waterfall::of_both(&commit(), &beyond);
        let names = waterfall.bars.iter().map(|bar| bar.name);
        let names: Vec<_> = names
            .skip_while(|name| *name != "handover to the walsender")
            .collect();
        assert_eq!(
            names,
            [
                "handover to the walsender",
                "on the way to the standby",
                "flushed on the standby",
                "reply on its way back",
            ]
        );
        let told = waterfall.told();
        assert_eq!(
            told[2..],
            [
                "x after 735 ms: the standby received a segment from the primary with a bad checksum, and discarded it",
                "t after 770 ms: the standby retransmitted a segment after a timeout of 408 ms",
                "X after 800 ms: received a segment from the standby with a bad checksum, and discarded it",
            ]
        );
        let wire = waterfall.lines(100).pop().unwrap();
        let (_, axis) = wire.split_once('|').unwrap();
        let signs: String = axis.chars().filter(|one| "TtXx".contains(*one)).collect();
        assert_eq!(signs, "TTxtX");

        // Which way took how long is not known: then nothing of it has a place on the axis.
        beyond.arrived_ms = None;
        assert_eq!(
            Waterfall::of_both(&commit(), &beyond),
            Waterfall::of(&commit())
        );
    }

    #[test]
    fn every_width_holds_all_bars_and_none_is_empty() {
        for width in [0, 1, 40, 80, 140, 500] {
            let lines = Waterfall::of(&commit()).lines(width);
            assert_eq!(lines.len(), 6, "{lines:#?}");
            let long: Vec<usize> = lines.iter().map(|line| columns(line)).collect();
            assert!(long.windows(2).all(|two| two[0] == two[1]), "{lines:#?}");
            let bars = lines.iter().take(5);
            assert!(bars.into_iter().all(|line| line.contains(['█', '▏'])));
        }
    }

    #[test]
    fn no_timeout_is_hidden_by_what_else_happened() {
        let mut commit = commit();
        let event = commit.events[0].clone();
        let many = (0..40_u32).map(|at| CommitEvent {
            after_ms: 300.0 + f64::from(at),
            what: BAD_CHECKSUM.to_owned(),
            timeout_ms: None,
            ..event.clone()
        });
        commit.events = many.collect();
        commit.events.insert(30, event);
        let waterfall = Waterfall::of(&commit);
        let told = waterfall.told();
        assert_eq!(told.len(), MAX_TOLD + 1);
        assert_eq!(
            told[19],
            "T after 310 ms: retransmitted a segment after a timeout of 204 ms"
        );
        assert_eq!(told[20], "and 21 more, in the JSON");
        assert!(waterfall.lines(80).pop().unwrap().contains('T'));
    }

    #[test]
    fn what_took_next_to_nothing_is_drawn_thin() {
        let mut commit = commit();
        commit.rest_ms = 0.01;
        let lines = Waterfall::of(&commit).lines(80);
        assert!(lines[0].contains("|▏ "), "{lines:#?}");
        assert!(lines[1].contains("|██"), "{lines:#?}");
    }

    #[test]
    fn without_stages_the_wait_is_one_bar() {
        let mut commit = commit();
        commit.stages_ms = None;
        commit.events = vec![commit.events[0].clone(); 25];
        let waterfall = Waterfall::of(&commit);
        let names: Vec<_> = waterfall.bars.iter().map(|bar| bar.name).collect();
        let expected = ["before the flush", "flush of its WAL", "wait for a standby"];
        assert_eq!(names, expected);
        commit.stages_ms = self::commit().stages_ms;
        commit.walsender_pid = None;
        assert_eq!(Waterfall::of(&commit), waterfall);
        let told = waterfall.told();
        assert_eq!(told.len(), MAX_TOLD + 1);
        assert_eq!(told[MAX_TOLD], "and 5 more, in the JSON");
    }

    #[test]
    fn numbers_that_no_run_has_draw_something() {
        let mut commit = commit();
        commit.total_ms = 0.0;
        assert_eq!(Waterfall::of(&commit).lines(80).len(), 6);
        commit.total_ms = f64::INFINITY;
        assert_eq!(Waterfall::of(&commit).lines(80).len(), 6);
    }
}
