//! The tool is tortured for a while, in the same way each time.

use std::time::Duration;

use xtask::provision::repo;
use xtask::task::torture::{self, Extent};

/// No round begins after this.
const TIME: Duration = Duration::from_secs(40);
/// They hold every scene, kills of both tool and guard, and a few of everything else.
const ROUNDS: u32 = 30;
const SEED: u64 = 28;

#[test]
fn whatever_happens_to_it_it_keeps_what_it_promises() {
    let extent = Extent {
        time: TIME,
        first: 0,
        rounds: ROUNDS,
    };
    torture::torture(&repo::build_debug().unwrap(), SEED, extent).unwrap();
}
