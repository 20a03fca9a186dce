//! The network between primary and standby.

use std::time::Duration;

use serde_json::Value;
use xtask::netns::Host;

use super::{CALM, PROBE_LINE, await_lines, await_trouble, begin, end, inject, verdict};
use crate::watched::Lab;

/// Long enough for timeouts to double until chance is no answer any more.
const CUT: Duration = Duration::from_secs(15);

#[test]
fn damaged_replies_are_found_from_either_side() {
    let lab = Lab::start("pgvreply");
    let (primary, standby) = (lab.primary(), lab.standby());
    let found = |watcher, cause, what| {
        damaged(&lab, (standby, "10.0.10.2"), watcher, cause, what);
    };
    found(
        primary,
        "damage_of_replies",
        "replies damaged, seen from the primary",
    );
    found(
        standby,
        "loss_of_replies",
        "replies damaged, seen from the standby",
    );
}

#[test]
fn a_damaged_log_is_found_from_either_side() {
    let lab = Lab::start("pgvlog");
    let (primary, standby) = (lab.primary(), lab.standby());
    let found = |watcher, cause, what| {
        damaged(&lab, (primary, "10.0.10.3"), watcher, cause, what);
    };
    found(
        primary,
        "loss_toward_standby",
        "log damaged, seen from the primary",
    );
    found(
        standby,
        "damage_toward_standby",
        "log damaged, seen from the standby",
    );
}

/// Damages half of what the sender sends to the peer, while the watcher looks.
fn damaged(lab: &Lab, (sender, peer): (&Host, &str), watcher: &Host, cause: &str, what: &str) {
    let mut tool = begin(lab, watcher);
    await_lines(&mut tool, &["probe: 2 commits"], CALM);
    let fault = inject(sender, "corrupt=50%", peer);
    await_trouble(&mut tool, &["commits under way, since"]);
    end(fault);
    tool.await_line(&[" 0 waiting for a standby"]);
    await_lines(&mut tool, &["probe: 2 commits"], CALM);
    let seen = tool.finish();
    assert_eq!(verdict(what, &seen), cause, "{}", seen.at("/findings"));
    // Its time is found in what it did; on a busy machine, what came after may
    // not have been calm enough to be told apart.
    let phases = seen.list("/phases");
    let names: Vec<_> = phases
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert!(
        names.starts_with(&["baseline", "fault"]),
        "{}",
        seen.at("/phases")
    );
    assert_eq!(phases[1]["chosen_by"], "change_point");
    let worst = |phase: &Value| phase["commits"]["max_ms"].as_f64().unwrap();
    assert!(
        worst(&phases[1]) > worst(&phases[0]),
        "{}",
        seen.at("/phases")
    );
    let total: u64 = phases
        .iter()
        .map(|one| one["commits"]["answered"].as_u64().unwrap())
        .sum();
    assert_eq!(seen.at("/postgres/probe/commits/answered"), total);
}

#[test]
fn a_network_that_is_cut_is_not_one_that_loses() {
    let lab = Lab::start("pgvcut");
    let mut tool = begin(&lab, lab.primary());
    let fault = inject(lab.primary(), "partition", "10.0.10.3");
    await_lines(&mut tool, &[PROBE_LINE], CUT);
    let seen = tool.finish();
    end(fault);
    let found = seen.at("/findings");
    assert_eq!(verdict("the way cut", &seen), "partition", "{found}");
    assert!(found[0]["size"]["silent_s"].as_f64() > Some(5.0), "{found}");
}

#[test]
fn where_nothing_is_the_matter_nothing_on_the_network_is_found() {
    let lab = Lab::start("pgvwell");
    let mut tool = begin(&lab, lab.primary());
    await_trouble(&mut tool, &[PROBE_LINE]);
    let seen = tool.finish();
    let causes = seen.list("/findings").iter().map(|one| &one["cause"]);
    let network = causes.filter(|cause| {
        let cause = cause.as_str().unwrap();
        ["loss", "damage", "partition", "network"]
            .iter()
            .any(|word| cause.starts_with(word))
    });
    assert_eq!(network.count(), 0, "{}", seen.at("/findings"));
}
