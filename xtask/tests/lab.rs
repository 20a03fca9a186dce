//! Two of the experiments, shortened: real clusters, real faults, and all that they
//! have to show.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};
use xtask::lab::experiment::{self, ExperimentArguments};
use xtask::lab::timing::Timing;
use xtask::provision::repo;

/// Within a process, one cluster at a time.
static ONE: Mutex<()> = Mutex::new(());

fn run(name: &str, variant: &str, fault: u64, timing: Timing) -> Result<()> {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let output = tempfile::tempdir()?;
    let arguments = ExperimentArguments {
        variant: Some(variant.to_owned()),
        output: Some(output.path().to_owned()),
        baseline: Some(8),
        fault: Some(fault),
        recovery: Some(2),
        timing,
    };
    // What it has to show, it checks itself.
    experiment::run(name, &arguments, &repo::build_debug()?)?;
    for file in ["db1.json", "db2.json", "load.json", "roles.json", "how.md"] {
        let path = output.path().join(variant).join(file);
        ensure!(path.exists(), "there is no {}", path.display());
    }
    Ok(())
}

#[test]
fn commits_wait_for_replies_with_a_bad_checksum_in_a_real_cluster() {
    // A timeout that doubles up to thirteen seconds would leave a fault this short with a
    // handful of retransmits, which may be as many in either direction.
    let longest = Path::new("/proc/sys/net/ipv4/tcp_rto_max_ms");
    let timing = Timing {
        rto_max: longest.exists().then_some(2_000),
        ..Timing::default()
    };
    run("partial-loss", "steady", 25, timing).unwrap();
}

#[test]
fn another_database_takes_over_from_one_that_is_shut_down() {
    run("failover", "orderly", 20, Timing::default()).unwrap();
}
