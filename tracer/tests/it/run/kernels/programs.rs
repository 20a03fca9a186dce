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
    let hooks = report.at("/capabilities/hooks").as_array().unwrap();
    let refused: Vec<&str> = hooks
        .iter()
        .filter(|hook| hook["attached"] != true)
        .map(|hook| {
            // Any other reason is a mistake of ours.
            assert_eq!(hook["reason"], "this kernel has no such tracepoint");
            hook["name"].as_str().unwrap()
        })
        .collect();
    cell::found(
        "programs",
        &match &refused[..] {
            [] => "all".to_owned(),
            some => format!("no {}", some.join(", ")),
        },
    );
    let missing = report.at("/capabilities/missing_fields");
    let missing: Vec<&str> = missing
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["field"].as_str().unwrap())
        .collect();
    cell::found(
        "fields",
        &match &missing[..] {
            [] => "all".to_owned(),
            some => format!("no {}", some.join(", ")),
        },
    );
    let shown = report.at("/capabilities/retransmit_err") == true;
    cell::found("failures shown", if shown { "yes" } else { "no" });
    // A number that cannot be had is none.
    assert_eq!(report.at("/totals/failed_events").is_null(), !shown);
}
