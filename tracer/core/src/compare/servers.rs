//! Which server of one run is which of the other.

use crate::compare::pairing::pairs;
use crate::report::Report;
use crate::report::commits::ServerReport;

/// A server in both runs, or in one of them.
#[derive(Debug)]
pub(super) struct ComparedServer<'a> {
    /// What to call it.
    pub(super) name: String,
    /// Before and after.
    pub(super) servers: [Option<&'a ServerReport>; 2],
}

/// Servers that committed something in one of the runs: one that was watched in the other and
/// committed nothing, did so at a rate of 0. One is the same that has the same port and data; or the
/// same first process on a host that was not started again; or the same port; or that alone is
/// left.
pub(super) fn committing([before, after]: [&Report; 2]) -> Vec<ComparedServer<'_>> {
    let is_same_boot = before.host.boot_id.is_some() && before.host.boot_id == after.host.boot_id;
    let same_place = |one: &ServerReport, other: &ServerReport| {
        one.data.is_some() && one.port == other.port && one.data == other.data
    };
    let same_process =
        |one: &ServerReport, other: &ServerReport| is_same_boot && one.pid == other.pid;
    let same_port =
        |one: &ServerReport, other: &ServerReport| one.port.is_some() && one.port == other.port;
    let any = |_: &ServerReport, _: &ServerReport| true;
    let found = pairs(
        &of(before),
        &of(after),
        &[&same_place, &same_process, &same_port, &any],
    );
    let mut servers: Vec<ComparedServer<'_>> = Vec::new();
    for pair in found {
        let [before, after] = pair;
        let is_committing = pair.iter().flatten().any(|one| one.commits > 0);
        let Some(one) = after.or(before).filter(|_| is_committing) else {
            continue;
        };
        let name = name(one);
        let is_taken = servers.iter().any(|other| other.name == name);
        let name = match is_taken {
            true => format!("{name}, pid {}", one.pid),
            false => name,
        };
        servers.push(ComparedServer {
            name,
            servers: pair,
        });
    }
    servers
}

fn of(report: &Report) -> Vec<&ServerReport> {
    let servers = report.commits.iter().flat_map(|one| &one.servers);
    servers.collect()
}

/// What to call a server: by its port, if that is known.
pub(super) fn name(server: &ServerReport) -> String {
    match server.port {
        Some(port) => format!("port {port}"),
        None => format!("pid {}", server.pid),
    }
}
