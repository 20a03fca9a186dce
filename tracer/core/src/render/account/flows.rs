//! Who retransmitted, and of what kind.

use tracer_ebpf::RetransmitKind;

use crate::render::account::kinds::why;
use crate::render::account::{more, sum};
use crate::render::aggregate;
use crate::render::document::{Block, Table};
use crate::render::table::{kinds, milliseconds, number, rtt_ms};
use crate::report::aggregate::FlowSums;
use crate::report::{FlowReport, Report};

/// How many flows are shown; the JSON has all.
const MAX_FLOWS: usize = 20;
/// Of how many peers and of how many roles the sums are shown where there are more flows.
const MAX_SUMS: usize = 10;

pub(crate) fn blocks(report: &Report) -> Vec<Block> {
    if report.flows.is_empty() {
        return vec![Block::Text("No connection to the peers was seen.".into())];
    }
    let mut table = Table::new(
        "Flow | Role, process | >Segments | By kind | >RTO max | >Back-off | >RTT | >Window",
    );
    for flow in report.flows.iter().take(MAX_FLOWS) {
        table.row([
            ends(flow),
            flow.role
                .with_process(flow.remote.address, flow.process.as_ref()),
            flow.segments.to_string(),
            kinds(&flow.by_kind),
            milliseconds(flow.rto_max_ms),
            number(flow.backoff_max),
            milliseconds(rtt_ms(flow.srtt_us)),
            number(flow.cwnd),
        ]);
    }
    let mut blocks = match report.flows.len() > MAX_FLOWS {
        true => sums(report),
        false => Vec::new(),
    };
    blocks.push(Block::Table(table));
    let more = report.flows.len().saturating_sub(MAX_FLOWS);
    if more > 0 {
        let segments = sum(report.flows.iter().skip(MAX_FLOWS).map(|one| one.segments));
        blocks.push(Block::Text(format!(
            "And {more} more flows with {segments} segments, all of them in the JSON."
        )));
    }
    blocks.extend(kinds_in_words(report));
    blocks
}

/// More flows than are shown, added up by peer and by role.
fn sums(report: &Report) -> Vec<Block> {
    let row = |name: String, sums: &FlowSums| {
        [
            name,
            number(sums.flows),
            sums.segments.to_string(),
            kinds(&sums.by_kind),
        ]
    };
    let mut peers = Table::new("Peer | >Flows | >Segments | By kind");
    for one in report.by_peer.iter().take(MAX_SUMS) {
        peers.row(row(aggregate::peer(one), &one.sums));
    }
    let mut roles = Table::new("Role, program | >Flows | >Segments | By kind");
    for one in report.by_role.iter().take(MAX_SUMS) {
        roles.row(row(aggregate::role(one), &one.sums));
    }
    let tables = [
        (peers, more(report.by_peer.len(), MAX_SUMS, "peer")),
        (roles, more(report.by_role.len(), MAX_SUMS, "role")),
    ];
    let tables = tables
        .into_iter()
        .filter(|(table, _)| !table.rows.is_empty());
    let blocks = tables.flat_map(|(table, more)| [Some(Block::Table(table)), more]);
    blocks.flatten().collect()
}

/// The kinds that there are, in words.
fn kinds_in_words(report: &Report) -> Option<Block> {
    let mut sums = [0_u64; RetransmitKind::COUNT];
    for (kind, count) in report.flows.iter().flat_map(|flow| flow.by_kind.each()) {
        let place = &mut sums[kind as usize];
        *place = sum([*place, count]);
    }
    let words: Vec<String> = RetransmitKind::ALL
        .into_iter()
        .filter(|kind| sums[*kind as usize] > 0)
        .map(|kind| format!("{} {}: {}", sums[kind as usize], kind.name(), why(kind)))
        .collect();
    (!words.is_empty()).then_some(Block::List(words))
}

/// Both ends.
pub(crate) fn ends(flow: &FlowReport) -> String {
    match flow.netns {
        Some(_) => format!("{} > {}", flow.local, flow.remote),
        None => "what the flow table had no room for".to_owned(),
    }
}

/// Both ends and what it is for.
pub(crate) fn name(flow: &FlowReport) -> String {
    match flow.role.words(flow.remote.address) {
        Some(words) => format!("{} ({words})", ends(flow)),
        None => ends(flow),
    }
}
