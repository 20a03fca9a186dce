//! The network between primary and standby.

use std::time::Duration;

use tracer_core::report::finding::{Cause, Confidence};
use tracer_core::report::phase::{ChosenBy, Name, PhaseReport};
use xtask::testbed::netns::Host;

use super::{CALM, PROBE_LINE, await_lines, await_trouble, begin, end, inject, verdict};
use crate::postgres::watched::Lab;

/// Long enough for timeouts to double until chance is no answer any more.
const CUT: Duration = Duration::from_secs(15);

/// Of what is sent again, so much that chance is no answer any more: a primary sends little
/// again where replies are lost, and all that it sees of them is that.
const ENOUGH: u64 = 8;

/// What breaks half of the segments that it hits.
pub(super) const DAMAGE: &str = "corrupt=50%";
pub(super) const LOSS: &str = "loss=50%";

#[test]
fn damaged_replies_are_found_from_either_side() {
    let lab = Lab::start("pgvreply");
    replies(&lab, DAMAGE, [Cause::DamageOfReplies, Cause::LossOfReplies]);
}

#[test]
fn a_damaged_log_is_found_from_either_side() {
    let lab = Lab::start("pgvlog");
    log(
        &lab,
        DAMAGE,
        [Cause::LossTowardStandby, Cause::DamageTowardStandby],
    );
}

#[test]
fn lost_replies_are_found_from_either_side() {
    let lab = Lab::start("pgvreplost");
    replies(&lab, LOSS, [Cause::LossOfReplies; 2]);
}

#[test]
fn a_lost_log_is_found_from_either_side() {
    let lab = Lab::start("pgvloglost");
    log(&lab, LOSS, [Cause::LossTowardStandby; 2]);
}

/// Breaks the standby's replies: what is found on the primary, and on the standby.
fn replies(lab: &Lab, fault: &str, causes: [Cause; 2]) {
    either_side(
        lab,
        (lab.standby(), "10.0.10.2"),
        fault,
        "the replies",
        causes,
    );
}

/// Breaks the log on its way.
fn log(lab: &Lab, fault: &str, causes: [Cause; 2]) {
    either_side(lab, (lab.primary(), "10.0.10.3"), fault, "the log", causes);
}

fn either_side(lab: &Lab, from: (&Host, &str), fault: &str, what: &str, causes: [Cause; 2]) {
    let sides = [(lab.primary(), "primary"), (lab.standby(), "standby")];
    for ((watcher, side), cause) in sides.into_iter().zip(causes) {
        let what = format!("{fault} of {what}, seen from the {side}");
        broken(lab, from, fault, watcher, cause, &what);
    }
}

/// Breaks what the sender sends to the peer, while the watcher looks.
fn broken(
    lab: &Lab,
    (sender, peer): (&Host, &str),
    fault: &str,
    watcher: &Host,
    cause: Cause,
    what: &str,
) {
    let mut tool = begin(lab, watcher);
    await_lines(&mut tool, &["probe: 2 commits"], CALM);
    let fault = inject(sender, fault, peer);
    await_trouble(&mut tool, &["commits in flight, since"]);
    if cause == Cause::LossOfReplies {
        tool.await_resent(ENOUGH);
    }
    end(fault);
    tool.await_line(&[" 0 waiting for a standby"]);
    await_lines(&mut tool, &["probe: 2 commits"], CALM);
    let seen = tool.finish();
    let found = &seen.report.findings;
    let said = verdict(what, &seen);
    // Of what half of all is lost of, six in a row are once in 64 times: then the primary sees a
    // cut, and is not sure.
    let looks_cut = said == Cause::Partition && found[0].confidence <= Confidence::Medium;
    let is_chance = looks_cut && cause == Cause::LossTowardStandby;
    assert!(said == cause || is_chance, "{found:?}");
    // Its time is found in what it did; on a busy machine, what came before or after may
    // not have been calm enough to be told apart.
    let phases = &seen.report.phases;
    let fault = phases.iter().find(|phase| phase.name == Name::Fault);
    let fault = fault.unwrap_or_else(|| panic!("{phases:?}"));
    assert_eq!(fault.chosen_by, ChosenBy::ChangePoint);
    let commits = |phase: &PhaseReport| phase.figures.commits.unwrap();
    let worst = |phase: &PhaseReport| commits(phase).latency.max_ms;
    assert!(
        phases.iter().all(|phase| worst(phase) <= worst(fault)),
        "{phases:?}"
    );
    let total: u64 = phases.iter().map(|one| commits(one).answered).sum();
    assert_eq!(seen.probe().commits.answered, total);
}

#[test]
fn a_network_that_is_cut_is_not_one_that_loses() {
    let lab = Lab::start("pgvcut");
    let mut tool = begin(&lab, lab.primary());
    let fault = inject(lab.primary(), "partition", "10.0.10.3");
    await_lines(&mut tool, &[PROBE_LINE], CUT);
    let seen = tool.finish();
    end(fault);
    let found = &seen.report.findings;
    assert_eq!(verdict("the way cut", &seen), Cause::Partition, "{found:?}");
    assert!(found[0].size.silent_s > Some(5.0), "{found:?}");
}

#[test]
fn where_nothing_is_the_matter_nothing_on_the_network_is_found() {
    let lab = Lab::start("pgvwell");
    let mut tool = begin(&lab, lab.primary());
    await_trouble(&mut tool, &[PROBE_LINE]);
    let seen = tool.finish();
    let found = &seen.report.findings;
    let network = found.iter().filter(|one| one.cause.is_network());
    assert_eq!(network.count(), 0, "{found:?}");
}
