//! The programs load and attach, and find the fields that they read.

use xtask::testbed::netns::Net;

use super::cell;
use crate::support::tool::Tool;

#[test]
fn every_program_that_the_kernel_has_a_tracepoint_for() {
    let net = Net::pair("programs", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let tool = Tool::start(&host.netns, &["--peer", "10.0.10.3"]).unwrap();
    let report = tool.finish().unwrap();
    let able = &report.capabilities;
    let refused: Vec<&str> = able
        .hooks
        .iter()
        .filter(|hook| !hook.attached)
        .map(|hook| {
            // Any other reason is a mistake of ours.
            let absent = "this kernel has no such tracepoint";
            assert_eq!(hook.reason.as_deref(), Some(absent));
            hook.name.as_ref()
        })
        .collect();
    cell::found(
        "programs",
        &match &refused[..] {
            [] => "all".to_owned(),
            some => format!("no {}", some.join(", ")),
        },
    );
    let missing = able.missing_fields.iter();
    let missing: Vec<&str> = missing.map(|one| one.field.as_ref()).collect();
    cell::found(
        "fields",
        &match &missing[..] {
            [] => "all".to_owned(),
            some => format!("no {}", some.join(", ")),
        },
    );
    let shown = able.retransmit_err;
    cell::found("failures shown", if shown { "yes" } else { "no" });
    // A number that cannot be had is none.
    assert_eq!(report.totals.failed_events.is_some(), shown);
}
