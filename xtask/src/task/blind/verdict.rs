//! What was found, held against what was done.

use std::fmt;
use std::time::Duration;

use tracer_core::merge::model::Merged;
use tracer_core::report::Report;
use tracer_core::report::finding::{Cause, Confidence, Finding};

use super::fault::Trial;
use super::truth::Truth;

/// A commit that takes no longer was not harmed.
const HARMED: Duration = Duration::from_millis(100);

/// What a trial left.
#[derive(Debug)]
pub(super) struct TrialOutcome {
    pub(super) primary: Report,
    pub(super) merged: Merged,
    /// The slowest write as its client saw it.
    pub(super) slowest: Duration,
    /// How many frames the wire harmed.
    pub(super) harmed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Right,
    /// A network fault was another's, or something else was named.
    OtherCause,
    /// The network was named, and was not it.
    NetworkBlamed,
    NotDetermined,
    /// Commits were slow, and nothing was found.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Judged {
    primary: (Verdict, Option<Finding>),
    merged: (Verdict, Option<Finding>),
    slowest: Duration,
    harmed: u64,
}

impl Judged {
    pub(super) fn of(trial: &Trial, seen: &TrialOutcome) -> Self {
        let truth = Truth::of(trial.broken);
        let is_harmless = seen.slowest < HARMED;
        let verdict = |found: Option<&Finding>, right: &[Cause]| {
            let said = found.map(|found| (found.cause, found.confidence));
            (judge(said, right, &truth, is_harmless), found.cloned())
        };
        let merged = seen.merged.findings.first().map(|one| &one.finding);
        Self {
            primary: verdict(seen.primary.findings.first(), &truth.primary),
            merged: verdict(merged, &truth.merged),
            slowest: seen.slowest,
            harmed: seen.harmed,
        }
    }

    pub(super) fn primary(&self) -> Verdict {
        self.primary.0
    }

    pub(super) fn merged(&self) -> Verdict {
        self.merged.0
    }
}

/// What the first finding's cause is worth, with how sure it is.
fn judge(
    said: Option<(Cause, Confidence)>,
    right: &[Cause],
    truth: &Truth,
    is_harmless: bool,
) -> Verdict {
    let is_sure = said.is_some_and(|(_, confidence)| confidence == Confidence::High);
    match said.map(|(cause, _)| cause) {
        Some(cause) if right.contains(&cause) => Verdict::Right,
        None if is_harmless || right.is_empty() => Verdict::Right,
        // The machine itself may be slow meanwhile; but nobody is to be sure of what no client
        // noticed.
        Some(cause) if right.is_empty() && !cause.is_network() && !(is_harmless && is_sure) => {
            Verdict::Right
        }
        None => Verdict::Nothing,
        Some(cause) if cause.is_network() && !truth.is_network => Verdict::NetworkBlamed,
        Some(Cause::NotDetermined | Cause::NotTheNetwork) if !truth.is_network => {
            Verdict::NotDetermined
        }
        Some(Cause::NotDetermined) => Verdict::NotDetermined,
        Some(_) => Verdict::OtherCause,
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            to,
            "    slowest write {:.1} s, {} frames harmed",
            self.slowest.as_secs_f64(),
            self.harmed
        )?;
        let sides = [("primary", &self.primary), ("merged", &self.merged)];
        for (index, (who, (verdict, finding))) in sides.into_iter().enumerate() {
            let said = finding.as_ref().map_or_else(
                || "nothing".to_owned(),
                |one| format!("{:?}, {:?}: {}", one.cause, one.confidence, one.text),
            );
            let mark = if *verdict == Verdict::Right { ' ' } else { '!' };
            write!(to, "  {mark} {who:<8} {verdict:?}: {said}")?;
            if index == 0 {
                writeln!(to)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::blind::fault::Broken;
    use crate::testbed::wire::Harm;

    #[test]
    fn only_what_names_the_fault_is_right() {
        let disk = Truth::of(Broken::StandbyDisk(HARMED));
        let loss = Truth::of(Broken::Log(Harm::Loss { percent: 30 }));
        let of = |cause: Option<Cause>, truth: &Truth, is_harmless| {
            let said = cause.map(|cause| (cause, Confidence::High));
            judge(said, &truth.merged, truth, is_harmless)
        };
        assert_eq!(of(Some(Cause::StandbyFlush), &disk, false), Verdict::Right);
        assert_eq!(
            of(Some(Cause::NetworkDelay), &disk, false),
            Verdict::NetworkBlamed
        );
        assert_eq!(of(Some(Cause::WalFlush), &disk, false), Verdict::OtherCause);
        assert_eq!(of(None, &disk, false), Verdict::Nothing);
        assert_eq!(of(None, &disk, true), Verdict::Right);
        assert_eq!(
            of(Some(Cause::LossOfReplies), &loss, false),
            Verdict::OtherCause
        );
        assert_eq!(
            of(Some(Cause::NotDetermined), &loss, false),
            Verdict::NotDetermined
        );
    }

    #[test]
    fn of_what_no_client_noticed_nobody_is_sure() {
        let nothing = Truth::of(Broken::Nothing);
        let of = |cause, confidence, is_harmless| {
            judge(
                Some((cause, confidence)),
                &nothing.merged,
                &nothing,
                is_harmless,
            )
        };
        let flush = Cause::StandbyFlush;
        assert_eq!(of(flush, Confidence::High, true), Verdict::OtherCause);
        assert_eq!(of(flush, Confidence::Medium, true), Verdict::Right);
        assert_eq!(of(flush, Confidence::High, false), Verdict::Right);
        let network = Cause::NetworkDelay;
        assert_eq!(of(network, Confidence::Low, true), Verdict::NetworkBlamed);
    }
}
