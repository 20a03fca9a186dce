//! What a tool may do to which all that happened, and what not.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use nix::sys::signal::Signal;

use super::blow::{Family, Output, Rival, Target, What};
use super::plan::RoundPlan;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Exit(i32),
    Killed(i32),
}

/// What stands where the report belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReportFile {
    New,
    /// That of an earlier run.
    Old,
    Absent,
    Half(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) signal: Signal,
    /// It had said that it is ready, and not taken that back: it takes signals then.
    pub(super) at_work: bool,
}

/// The kernel's count of what was retransmitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    /// What the tool has counted.
    pub(super) segments: u64,
    /// What it read of the kernel's counter.
    pub(super) kernel: u64,
    /// How much that grew at least while it counted, and at most.
    pub(super) least: u64,
    pub(super) most: u64,
}

/// What was seen of a tool while it ran.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// What was done, when, and what came of it.
    pub(super) log: Vec<String>,
    pub(super) sent: Vec<Sent>,
    /// Signals made it give up a reader who takes nothing.
    pub(super) nudged: bool,
    /// It said that it is ready.
    pub(super) was_ready: bool,
    pub(super) guard_killed: bool,
    /// By how much the kernel's counter grew at least while the tool counted.
    pub(super) least: u64,
    /// A report that was there was removed with its folder.
    pub(super) report_taken: bool,
    pub(super) endless: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) ended: Ended,
    pub(super) seen: Seen,
    /// It says at the end that it is ready.
    pub(super) is_ready: bool,
    pub(super) report: ReportFile,
    /// Of a report that has a count; [`None`] if it could not be compared.
    pub(super) count: Option<Count>,
    pub(super) stderr: String,
}

/// Whether nobody may have been left who could undo the fault: its guard was killed, and
/// what makes it was ended, too, or lacked what that takes.
pub(super) fn may_leave_fault(plan: &RoundPlan, guard_killed: bool, ended: Ended) -> bool {
    guard_killed && (matches!(ended, Ended::Killed(_)) || limited(plan))
}

/// Whether it lacked what it needs to do its work.
fn limited(plan: &RoundPlan) -> bool {
    plan.has(|what| what.family() == Family::Limits)
}

/// Whether it may end with an error: something that was asked for was out of its reach.
fn may_fail(plan: &RoundPlan) -> bool {
    limited(plan)
        || plan.has(|what| match what {
            What::Signal { to, signal, .. } => {
                to != Target::Tool && (signal == Signal::SIGKILL || is_polite(signal))
            }
            What::Stopped { whom, .. } => whom != Target::Tool,
            What::Leaves(_) | What::Stalls(_) | What::Hangup => true,
            What::Full { .. } | What::ReadOnly(_) | What::FolderGone(_) => true,
            What::Beside(beside) => plan.scene.has_fault() && beside == Rival::Fault,
            _ => what.family() == Family::Interface,
        })
}

/// Whether the tool takes it, and its guard ignores it, once they are there.
const fn is_polite(signal: Signal) -> bool {
    matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP)
}

/// What was not as promised, a line each.
pub(super) fn broken(plan: &RoundPlan, facts: &Facts) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(ending(plan, facts));
    found.extend(report(plan, facts));
    // Rust's threads can do nothing else where there is no memory for their stacks.
    let out_of_memory = plan
        .has(|what| matches!(what, What::Memory { .. } | What::AddressSpace { .. }))
        && facts.stderr.contains("Cannot allocate memory");
    if facts.stderr.contains("panicked") && !out_of_memory {
        found.push("it panicked".to_owned());
    }
    let gone = plan.has(|what| what == What::FolderGone(Output::Ready));
    let by_force = matches!(facts.ended, Ended::Killed(signal) if !took(signal));
    if facts.is_ready && !by_force && !gone {
        found.push("it has ended, and its ready file is there".to_owned());
    }
    if !limited(plan) && plan.scene.counts() && facts.report == ReportFile::New {
        found.extend(match facts.count {
            Some(count) => counted(count),
            None => Some("its count was not compared with the kernel's".to_owned()),
        });
    }
    found
}

fn took(signal: i32) -> bool {
    Signal::try_from(signal).is_ok_and(is_polite)
}

fn ending(plan: &RoundPlan, facts: &Facts) -> Option<String> {
    let ended = facts.ended;
    match ended {
        Ended::Exit(0) => None,
        Ended::Exit(1) if may_fail(plan) => None,
        // What it is to break is not there.
        Ended::Exit(2) if plan.has(|what| what.family() == Family::Interface) => None,
        Ended::Exit(_) => Some(format!("it ended with {ended}, and nothing explains that")),
        Ended::Killed(number) => {
            let signal = Signal::try_from(number).ok();
            let sent: Vec<&Sent> = facts.seen.sent.iter().collect();
            let hit = sent.iter().any(|sent| Some(sent.signal) == signal);
            let starved =
                limited(plan) && matches!(signal, Some(Signal::SIGKILL | Signal::SIGABRT));
            let nudged = facts.seen.nudged && signal == Some(Signal::SIGTERM);
            if starved || nudged {
                return None;
            }
            if !hit {
                return Some(format!("it was ended by {ended}, which nobody sent"));
            }
            let polite = took(number);
            match &sent[..] {
                [one] if one.at_work && polite => Some(format!(
                    "it was ended by {ended} although it was at work and has to take that"
                )),
                _ => None,
            }
        }
    }
}

fn report(plan: &RoundPlan, facts: &Facts) -> Option<String> {
    let none = match &facts.report {
        ReportFile::New => return None,
        ReportFile::Absent if facts.seen.report_taken => return None,
        ReportFile::Half(why) => {
            return Some(format!("the report is neither whole nor absent: {why}"));
        }
        ReportFile::Old => "the report of an earlier run is still there",
        ReportFile::Absent => "there is no report",
    };
    let unwritable = plan.has(|what| match what {
        What::Full { output, .. } | What::ReadOnly(output) | What::FolderGone(output) => {
            output == Output::Json
        }
        _ => false,
    });
    match facts.ended {
        Ended::Exit(0) => Some(format!("it ended with success, and {none}")),
        Ended::Exit(_) if facts.seen.was_ready && !unwritable && !limited(plan) => Some(format!(
            "it had begun to count, it ended by itself, and {none}"
        )),
        _ => None,
    }
}

fn counted(count: Count) -> Option<String> {
    let Count {
        segments,
        kernel,
        least,
        most,
    } = count;
    if segments != kernel {
        return Some(format!(
            "it counted {segments} segments, and the kernel {kernel}"
        ));
    }
    if !(least..=most).contains(&kernel) {
        return Some(format!(
            "it read that the kernel retransmitted {kernel} segments, and they are {least} to {most}"
        ));
    }
    None
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exit(code),
            (None, signal) => Self::Killed(signal.unwrap_or_default()),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(formatter, "exit code {code}"),
            Self::Killed(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(formatter, "{signal}"),
                Err(_) => write!(formatter, "signal {number}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::blow::{Blow, Stream};
    use super::super::plan::{Fault, Scene};
    use super::*;

    fn plan(scene: Scene, what: &[What]) -> RoundPlan {
        RoundPlan {
            round: 0,
            scene,
            lasts_ms: 500,
            by_name: false,
            terminal: false,
            calm: false,
            old: false,
            blows: what.iter().map(|&what| Blow { at_ms: 9, what }).collect(),
        }
    }

    const RIGHT: Count = Count {
        segments: 7,
        kernel: 7,
        least: 6,
        most: 8,
    };

    fn facts(ended: Ended, report: ReportFile) -> Facts {
        Facts {
            ended,
            seen: Seen {
                was_ready: true,
                ..Seen::default()
            },
            is_ready: false,
            report,
            count: Some(RIGHT),
            stderr: String::new(),
        }
    }

    const DOWN: What = What::Signal {
        signal: Signal::SIGTERM,
        to: Target::Tool,
        twice: false,
    };

    #[test]
    fn success_has_a_report_and_failure_a_reason() {
        let calm = plan(Scene::Count, &[]);
        assert!(broken(&calm, &facts(Ended::Exit(0), ReportFile::New)).is_empty());
        for report in [
            ReportFile::Absent,
            ReportFile::Old,
            ReportFile::Half(String::new()),
        ] {
            assert_eq!(broken(&calm, &facts(Ended::Exit(0), report)).len(), 1);
        }
        assert_eq!(
            broken(&calm, &facts(Ended::Exit(1), ReportFile::New)).len(),
            1
        );
        let full = plan(
            Scene::Count,
            &[What::Full {
                output: Output::Json,
                kib: 4,
            }],
        );
        assert!(broken(&full, &facts(Ended::Exit(1), ReportFile::Absent)).is_empty());
        assert_eq!(
            broken(&full, &facts(Ended::Exit(101), ReportFile::New)).len(),
            1
        );
        // The reader of its words has nothing to do with the report.
        let left = plan(Scene::Count, &[What::Leaves(Stream::Stdout)]);
        assert_eq!(
            broken(&left, &facts(Ended::Exit(1), ReportFile::Absent)).len(),
            1
        );
    }

    #[test]
    fn a_signal_ends_it_only_before_it_is_at_work() {
        let plan = plan(Scene::Count, &[DOWN]);
        let mut facts = facts(Ended::Killed(15), ReportFile::Absent);
        assert_eq!(broken(&plan, &facts).len(), 1, "nobody sent it");
        facts.seen.sent.push(Sent {
            signal: Signal::SIGTERM,
            at_work: false,
        });
        assert!(broken(&plan, &facts).is_empty());
        facts.seen.sent[0].at_work = true;
        assert_eq!(broken(&plan, &facts).len(), 1);
        facts.ended = Ended::Killed(11);
        assert_eq!(broken(&plan, &facts).len(), 1);
    }

    #[test]
    fn a_ready_file_stays_only_of_who_was_killed() {
        let plan = plan(Scene::Count, &[DOWN]);
        let mut facts = facts(Ended::Exit(0), ReportFile::New);
        facts.is_ready = true;
        assert_eq!(broken(&plan, &facts).len(), 1);
        facts.seen.sent.push(Sent {
            signal: Signal::SIGKILL,
            at_work: true,
        });
        facts.ended = Ended::Killed(9);
        assert!(broken(&plan, &facts).is_empty());
    }

    #[test]
    fn a_panic_is_excused_only_by_memory_that_was_not_there() {
        let mut facts = facts(Ended::Killed(6), ReportFile::Absent);
        facts.stderr = "panicked at x: Cannot allocate memory (os error 12)".to_owned();
        let starved = plan(Scene::Count, &[What::AddressSpace { mib: 16 }]);
        assert!(broken(&starved, &facts).is_empty());
        let short = plan(Scene::Count, &[What::Descriptors(9)]);
        assert_eq!(broken(&short, &facts).len(), 1);
        facts.stderr = "panicked at x: index out of bounds".to_owned();
        assert_eq!(broken(&starved, &facts).len(), 1);
    }

    #[test]
    fn counts_are_compared_unless_something_was_missing_to_count_with() {
        let mut facts = facts(Ended::Exit(0), ReportFile::New);
        let short = plan(Scene::Count, &[What::Descriptors(40)]);
        let full = plan(Scene::Count, &[]);
        assert!(broken(&full, &facts).is_empty());
        let wrong = [
            Count {
                segments: 6,
                ..RIGHT
            },
            Count { least: 8, ..RIGHT },
            Count { most: 6, ..RIGHT },
        ];
        for wrong in wrong.map(Some).into_iter().chain([None]) {
            facts.count = wrong;
            assert_eq!(broken(&full, &facts).len(), 1, "{wrong:?}");
            assert!(broken(&short, &facts).is_empty());
        }
    }

    #[test]
    fn a_fault_stays_only_if_its_guard_was_killed_and_nobody_else_could() {
        let scene = Scene::Inject(Fault::Loss);
        let able = plan(scene, &[]);
        let short = plan(scene, &[What::Descriptors(9)]);
        assert!(may_leave_fault(&able, true, Ended::Killed(9)));
        assert!(may_leave_fault(&short, true, Ended::Exit(1)));
        assert!(!may_leave_fault(&able, true, Ended::Exit(1)));
        assert!(!may_leave_fault(&able, false, Ended::Killed(9)));
        assert!(!may_leave_fault(&short, false, Ended::Exit(1)));
    }
}
