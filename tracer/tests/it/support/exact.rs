//! The tool's counts against the kernel's.

use std::collections::HashMap;

use anyhow::Result;
use tracer::kernel::version::{self, KernelVersion};
use tracer_core::report::ByKind;
use xtask::testbed::netns::Host;

use crate::support::kernel::{self, Connection, Counters, Ends};
use crate::support::report::{Report, ends};
use crate::support::storm::drain;
use crate::support::tool::Tool;

/// What the kernel had counted before the tool was started: on a busy machine, a handshake
/// may have been retransmitted by then.
pub(crate) struct Before {
    pub(crate) counters: Counters,
    connections: HashMap<Ends, Connection>,
}

impl Before {
    pub(crate) fn read(host: &Host) -> Result<Self> {
        Ok(Self {
            counters: Counters::read(&host.netns)?,
            connections: kernel::connections(&host.netns)?,
        })
    }
}

/// Lets everything arrive, ends the tool, and holds what it counted of these connections
/// against the kernel: in all, by kind and by connection. Returns its report, and by how
/// much the kernel's counters have grown.
pub(crate) fn finish(
    tool: Tool,
    from: &Host,
    before: &Before,
    connections: usize,
) -> (Report, Counters) {
    let sums = drain(from).unwrap();
    let grown = Counters::read(&from.netns).unwrap().since(before.counters);
    let report = tool.finish().unwrap();
    println!("{grown:?}\n{:?}", report.totals);
    report.check();
    report.check_all_selected();
    assert_eq!(report.totals.kernel_retrans_segs.unwrap(), grown.segments);
    check_kinds(&report, &grown);
    check_connections(&report, before, &sums, connections);
    (report, grown)
}

/// Each kind against the kernel's counter of it. What no program was shown
/// cannot be told by kind, and nothing else may be missing; but timeouts of
/// SYN-ACKs are timeouts, too, and so are those that sent nothing, which not every
/// kernel shows. One of those whose hit the kernel did not pass on, because it
/// interrupted the program at another hit, leaves no trace in any sum of the socket:
/// the kernel says how many hits it kept back.
pub(crate) fn check_kinds(report: &Report, kernel: &Counters) {
    let in_vain = match report.capabilities.retransmit_err {
        true => 0,
        false if refuses_uncounted() => kernel.timeouts,
        false => kernel.busy,
    };
    let synacks = report.totals.by_kind.synack;
    let unseen = report.totals.unseen_segments;
    let totals = &report.totals;
    let (counted, tried) = (&totals.by_kind, &totals.attempts_by_kind);
    let sent = |of: fn(&ByKind) -> u64| of(&totals.by_kind) - of(&totals.failed_by_kind);
    for (counter, kernel, ours) in [
        ("TCPTimeouts", kernel.timeouts, tried.rto + tried.syn),
        (
            "TCPFastRetrans",
            kernel.fast,
            sent(|kinds| kinds.fast + kinds.rack),
        ),
        (
            "TCPSlowStartRetrans",
            kernel.slow_start,
            sent(|kinds| kinds.slow_start),
        ),
        ("TCPSynRetrans", kernel.syn, counted.syn + counted.synack),
    ] {
        let more = match counter {
            "TCPTimeouts" => synacks + in_vain + report.gaps.hits_missed,
            _ => 0,
        };
        assert!(
            ours <= kernel && kernel - ours <= unseen + more,
            "{counter}: the kernel has {kernel}, we have {ours}, with {unseen} unseen; \
             {totals:?}, {:?}",
            report.gaps
        );
    }
    // A probe that failed is none to the kernel; one of new data is none to us.
    assert!(sent(|kinds| kinds.tlp) <= kernel.probes);
}

/// Before Linux 5.13 a call was refused, too, while more of its socket waited in this
/// host than a share of what is queued, and no counter tells of that
/// ([`__tcp_retransmit_skb`](https://github.com/torvalds/linux/blob/v5.10/net/ipv4/tcp_output.c)).
/// What was sent again at a timeout is then known from all other kinds being exact.
fn refuses_uncounted() -> bool {
    let release = version::release().unwrap();
    let running = KernelVersion::parse(&release).unwrap();
    (running.major, running.minor) < (5, 13)
}

/// Each flow against what the socket's own sums have grown by.
pub(crate) fn check_connections(
    report: &Report,
    before: &Before,
    connections: &HashMap<Ends, Connection>,
    count: usize,
) {
    assert_eq!(connections.len(), count);
    assert_eq!(report.flows.len(), count);
    for flow in &report.flows {
        let ends = ends(flow);
        let mut connection = connections[&ends];
        if let Some(before) = before.connections.get(&ends) {
            connection = connection.since(*before);
        }
        assert_eq!(flow.segments, connection.segments, "{ends:?}");
        assert_eq!(flow.bytes, connection.bytes, "{ends:?}");
    }
}
