//! The tool's own faults: what was asked for is delivered, what is reported was
//! done, and nothing is left. Judged by who receives.

mod leftovers;
mod program;
mod queue;

use tracer_core::report::fault::FaultReport;

use crate::support::program::PROGRAM;

/// So many that chance hides little: 50 % is then known to ±2.4 %.
const PACKETS: u32 = 5_000;
const PEER_V4: &str = "10.0.10.3";
const PEER_V6: &str = "fd00:10::3";

/// What was hit is what chance allows of what was asked for.
fn assert_as_asked(fault: &FaultReport) {
    let [least, most] = fault.expected_hits.unwrap();
    let hit = fault.hit.unwrap();
    assert!((least..=most).contains(&hit), "{fault:?}");
}

/// Whether the tool can make this fault here; if it cannot, it says why.
pub(super) fn refusal(host: &xtask::testbed::netns::Host, fault: &[&str]) -> Option<String> {
    let mut command = host.netns.command(PROGRAM);
    command.arg("inject").args(fault);
    command.args(["--peer", PEER_V4, "--duration", "100ms", "--quiet"]);
    let output = command.output().unwrap();
    if output.status.success() {
        return None;
    }
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    Some(String::from_utf8(output.stderr).unwrap())
}
