//! Two of the experiments, shortened: real clusters, real faults, and all that they
//! have to show.

use std::sync::{Mutex, PoisonError};

use xtask::lab::experiment::{self, Arguments};
use xtask::lab::timing::Timing;
use xtask::repo;

/// Within a process, one cluster at a time.
static ONE: Mutex<()> = Mutex::new(());

fn run(name: &str, variant: &str, fault: u64) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let output = tempfile::tempdir().unwrap();
    let arguments = Arguments {
        variant: Some(variant.to_owned()),
        output: Some(output.path().to_owned()),
        baseline: Some(8),
        fault: Some(fault),
        recovery: Some(2),
        timing: Timing::default(),
    };
    // What it had to show, it checks itself.
    let program = repo::build_debug().unwrap();
    experiment::run(name, &arguments, &program).unwrap();
    for file in ["db1.json", "db2.json", "load.json", "roles.json", "how.md"] {
        assert!(output.path().join(variant).join(file).exists(), "{file}");
    }
}

#[test]
fn damaged_replies_hold_up_commits_in_a_real_cluster() {
    run("partial-loss", "steady", 25);
}

#[test]
fn another_database_takes_over_from_one_that_is_shut_down() {
    run("failover", "orderly", 20);
}
