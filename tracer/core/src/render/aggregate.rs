//! Many flows as a few lines: by peer and port.

use std::net::IpAddr;

use crate::render::table::clip;
use crate::report::aggregate::{PeerSums, PortOf, RoleSums};
use crate::text::{columns, padded};

/// One line of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AggregateRow {
    /// Retransmitted segments.
    pub(crate) segments: u64,
    /// What was added in the last interval, where that is shown.
    pub(crate) added: Option<u64>,
    /// How many flows, where that is known.
    pub(crate) flows: Option<u64>,
    /// What they have in common.
    pub(crate) name: String,
    /// The kinds that there are.
    pub(crate) kinds: String,
}

/// A table with a header, whose column of names has this title; lines no longer than `width`.
pub(crate) fn render(title: &str, rows: &[AggregateRow], width: usize) -> Vec<String> {
    let with_added = rows.iter().any(|row| row.added.is_some());
    let added = |text: &str| match with_added {
        true => format!("{text:>7} "),
        false => String::new(),
    };
    let name = rows.iter().map(|row| columns(&row.name));
    let name = name.fold(columns(title), usize::max);
    let head = format!(
        "{:>8} {}{:>7}  {title:<name$}  KINDS",
        "SEGMENTS",
        added("ADDED"),
        "FLOWS"
    );
    let lines = rows.iter().map(|row| {
        let grown = match row.added {
            Some(0) | None => added(""),
            Some(count) => added(&format!("+{count}")),
        };
        let flows = row
            .flows
            .map_or_else(String::new, |flows| flows.to_string());
        format!(
            "{:>8} {grown}{flows:>7}  {}  {}",
            row.segments,
            padded(&row.name, name),
            row.kinds
        )
    });
    let lines = std::iter::once(head).chain(lines);
    lines.map(|line| clip(line.trim_end(), width)).collect()
}

/// A peer and the port in common, such as `10.0.10.3:5432`.
pub(crate) fn peer(sums: &PeerSums) -> String {
    match (sums.peer, sums.port, sums.port_of) {
        (Some(peer), Some(port), Some(of)) => peer_port(peer, port, of),
        _ => "what the flow table had no room for".to_owned(),
    }
}

/// The same of what is known one by one.
pub(crate) fn peer_port(peer: IpAddr, port: u16, of: PortOf) -> String {
    match of {
        PortOf::Peer => std::net::SocketAddr::new(peer, port).to_string(),
        PortOf::ThisHost => format!("{peer} to port {port} here"),
    }
}

/// A role and a program, such as `walsender, postgres`.
pub(crate) fn role(sums: &RoleSums) -> String {
    let comm = sums.comm.as_deref().unwrap_or("process not known");
    format!("{}, {comm}", sums.role)
}
