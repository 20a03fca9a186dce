//! Who retransmitted, and of what kind.

use tracer_ebpf::RetransmitKind;

use crate::render::account::kinds::why;
use crate::render::account::{more, sum};
use crate::render::aggregate;
use crate::render::document::{Block, Table};
use crate::render::table::{kinds, milliseconds, number, rtt_ms};
use crate::report::aggregate::FlowSums;
use crate::report::{ByKind, FlowReport, Report};

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
    blocks.extend(others(report));
    blocks.extend(kinds_in_words(report));
    blocks
}

/// What the table has no room for.
fn others(report: &Report) -> Option<Block> {
    let more = report.flows.len().saturating_sub(MAX_FLOWS);
    let unlisted = report.unlisted.iter().map(|all| all.sums.segments);
    let shown = report.flows.iter().skip(MAX_FLOWS);
    let segments = sum(shown.map(|one| one.segments).chain(unlisted));
    let text = match report.unlisted_count() {
        0 if more == 0 => return None,
        0 => format!("And {more} more flows with {segments} segments, all of them in the JSON."),
        unlisted => format!(
            "And {} more flows with {segments} segments; {more} of them are listed in the JSON.",
            unlisted.saturating_add(more as u64)
        ),
    };
    Some(Block::Text(text))
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
    let unlisted = report.unlisted.iter().map(|all| &all.sums.by_kind);
    let all = report
        .flows
        .iter()
        .map(|flow| &flow.by_kind)
        .chain(unlisted);
    for (kind, count) in all.flat_map(ByKind::each) {
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
