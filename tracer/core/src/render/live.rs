//! What a run shows while it goes on: the screen of a terminal, or one line an interval.

use std::cmp::Reverse;

use tracer_ebpf::RetransmitKind;

use crate::by_kind::sum;
use crate::clock::jiffies_to_ms;
use crate::recording::flow_entry::Entry;
use crate::recording::flow_groups::{self, FlowGroups};
use crate::recording::flow_sum::FlowSum;
use crate::recording::roles::Known;
use crate::render::aggregate::{self, AggregateRow};
use crate::render::table::{self, Row};
use crate::report::ByKind;
use crate::report::aggregate::PortOf;
use crate::report::endpoint::endpoints;
use crate::report::role::FlowRole;

/// How many flows a line names: those that retransmitted the most in its interval.
const MOST_IN_A_LINE: usize = 8;
/// With fewer lines than this there are flows alone.
const LEAST_ROOM_FOR_SUMS: usize = 6;

/// Everything that is shown at one moment.
#[derive(Debug)]
pub struct LiveView<'a> {
    /// What was asked for, in words.
    pub title: &'a str,
    /// Since counting began.
    pub elapsed_s: f64,
    /// End of this interval, ns of `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// The same in UTC.
    pub time: &'a str,
    /// Flows, most retransmitted segments first.
    pub flows: &'a [&'a Entry],
    /// Those that have closed and are not among them.
    pub groups: &'a FlowGroups,
    /// Length of a jiffy, ns.
    pub jiffy_ns: u64,
    /// Segments to every peer.
    pub all_segments: Option<u64>,
    /// The state of the fault, if one was asked for.
    pub fault: Option<&'a str>,
    /// The database: a line for the server, one for each standby, one for commits.
    pub postgres: &'a [String],
    /// What it says of connections.
    pub known: &'a Known,
    /// Events that were lost.
    pub lost_events: Option<u64>,
}

/// The whole screen, no line too long and not more than there is room for.
#[must_use]
pub fn screen(view: &LiveView<'_>, width: usize, height: usize) -> Vec<String> {
    let elapsed = duration(view.elapsed_s);
    let title = format!("tracer: {}, {elapsed} (Ctrl-C ends)", view.title);
    let mut lines = vec![table::clip(&title, width)];
    if let Some(fault) = view.fault {
        lines.push(table::clip(&format!("fault:  {fault}"), width));
    }
    lines.extend(view.postgres.iter().map(|line| table::clip(line, width)));
    // Title, fault, header, two closing lines and the cursor's own.
    let mut room = height.saturating_sub(lines.len() + 4).max(1);
    if view.flows.is_empty() {
        lines.push("no connection to the peers so far".to_owned());
    } else {
        if view.flows.len() > room && room >= LEAST_ROOM_FOR_SUMS {
            let sums = sums(view, room / 3);
            // With the table's own header.
            room -= sums.len() + 1;
            lines.extend(aggregate::render("PEER", &sums, width));
        }
        let shown = view.flows.iter().take(room);
        let rows: Vec<Row> = shown.map(|entry| row(entry, view)).collect();
        lines.extend(table::render(&rows, width));
    }
    let more = view.flows.len().saturating_sub(room) as u64 + view.groups.sum().flows;
    if more > 0 {
        lines.push(format!("         and {more} more flows"));
    }
    let mut closing = format!(
        "{:>8} segments to all peers",
        table::number(view.all_segments)
    );
    match view.lost_events {
        Some(0) => {}
        Some(lost) => closing += &format!("; {lost} events lost; counts are complete"),
        None => closing += "; whether events were lost is not known",
    }
    lines.push(table::clip(&closing, width));
    lines
}

/// More flows than there is room for, added up by peer and port: at most so many lines, most
/// retransmitted segments first.
fn sums(view: &LiveView<'_>, most: usize) -> Vec<AggregateRow> {
    let by_peer = |of: &dyn Fn(&Entry) -> FlowSum, groups: &FlowGroups| {
        let flows = view.flows.iter().map(|entry| {
            let (local, remote) = entry.ends();
            (local, remote, of(entry))
        });
        flow_groups::by_peer(flows, groups)
    };
    let now = by_peer(&|entry| in_interval(entry, view), &FlowGroups::default());
    let sums = by_peer(&|entry| FlowSum::of(&entry.flow()), view.groups);
    let services = sums
        .into_iter()
        .filter_map(|(port, sum)| Some((port?, sum)));
    let mut services: Vec<_> = services.collect();
    services.sort_by_key(|(port, all)| (Reverse((sum(&all.segments), all.flows)), *port));
    services.truncate(most);
    let rows = services.into_iter().map(|(port, all)| AggregateRow {
        name: aggregate::peer_port(port.peer, port.port, PortOf::from(port)),
        segments: sum(&all.segments),
        added: Some(now.get(&Some(port)).map_or(0, |now| sum(&now.segments))),
        flows: Some(all.flows),
        kinds: table::kinds(&ByKind::from(all.segments)),
    });
    rows.collect()
}

/// One line for those who read along in a file.
#[must_use]
pub fn line(view: &LiveView<'_>) -> String {
    let grown = view
        .flows
        .iter()
        .map(|entry| (*entry, sum(&added(entry, view))));
    let mut grown: Vec<_> = grown.filter(|(_, segments)| *segments > 0).collect();
    let added_up = |flows: &[(&Entry, u64)]| flows.iter().map(|(_, segments)| segments).sum();
    let all: u64 = added_up(&grown);
    let total: u64 = view.flows.iter().map(|entry| entry.segments()).sum();
    let total = total + sum(&view.groups.sum().segments);
    let mut line = format!("{} +{all} segments, {total} in all", view.time);
    // Of equal ones, the order is that of the whole run.
    grown.sort_by_key(|(_, segments)| Reverse(*segments));
    let others = grown.split_off(grown.len().min(MOST_IN_A_LINE));
    for (entry, _) in grown {
        let kinds = table::kinds(&ByKind::from(added(entry, view)));
        let (local, remote) = endpoints(&entry.tuple);
        let role = role(entry, view).replication(remote.address);
        let role = role.map_or_else(String::new, |words| words + ": ");
        line += &format!("; {role}{local} > {remote} {kinds}");
    }
    if !others.is_empty() {
        let segments: u64 = added_up(&others);
        line += &format!("; {} more flows +{segments}", others.len());
    }
    if let Some(fault) = view.fault {
        line += &format!("; fault: {fault}");
    }
    for database in view.postgres {
        line += &format!("; {}", database.trim_start());
    }
    line
}

fn role(entry: &Entry, view: &LiveView<'_>) -> FlowRole {
    let (local, remote) = endpoints(&entry.tuple);
    let process = entry.process.as_deref();
    view.known.role(local.socket(), remote.socket(), process)
}

fn row(entry: &Entry, view: &LiveView<'_>) -> Row {
    let flow = entry.flow();
    let (local, remote) = endpoints(&flow.tuple);
    let seen = flow.last_ns != 0;
    let rto_max = || jiffies_to_ms(flow.rto_max, view.jiffy_ns);
    Row {
        flow: format!("{local} > {remote}"),
        segments: sum(&flow.segments),
        added: Some(sum(&added(entry, view))),
        kinds: table::kinds(&ByKind::from(flow.segments)),
        rto_max: table::milliseconds(seen.then(rto_max)),
        srtt: table::milliseconds(table::rtt_ms(
            Some(flow.srtt_us).filter(|us| seen && *us > 0),
        )),
        cwnd: table::number(seen.then_some(flow.cwnd)),
        process: role(entry, view).with_process(remote.address, entry.process.as_deref()),
    }
}

/// What it retransmitted in the interval that ends now.
fn in_interval(entry: &Entry, view: &LiveView<'_>) -> FlowSum {
    FlowSum {
        segments: added(entry, view),
        ..FlowSum::default()
    }
}

/// Segments of the interval that ends now, by kind.
fn added(entry: &Entry, view: &LiveView<'_>) -> [u64; RetransmitKind::COUNT] {
    let last = entry.series.last().filter(|step| step.at_ns == view.at_ns);
    last.map_or([0; RetransmitKind::COUNT], |step| step.segments)
}

fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use tracer_ebpf::{Flow, Tuple};

    use super::*;
    use crate::recording::flow_table::FlowTable;

    fn table() -> FlowTable {
        let address = |text: &str| {
            text.parse::<std::net::Ipv4Addr>()
                .unwrap()
                .to_ipv6_mapped()
                .octets()
        };
        let mut flow = Flow {
            tuple: Tuple {
                local: address("10.0.10.3"),
                remote: address("10.0.10.2"),
                local_port: 41_000,
                remote_port: 5432,
                netns: 1,
            },
            events: 3,
            last_ns: 5,
            rto_max: 52,
            srtt_us: 812,
            cwnd: 4,
            ..Flow::default()
        };
        flow.segments[RetransmitKind::Rto as usize] = 3;
        let mut table = FlowTable::default();
        table.update(1_000, &[flow], &[]);
        table
    }

    fn view<'a>(flows: &'a [&'a Entry]) -> LiveView<'a> {
        static KNOWN: LazyLock<Known> = LazyLock::new(Known::default);
        static NONE: LazyLock<FlowGroups> = LazyLock::new(FlowGroups::default);
        LiveView {
            known: &KNOWN,
            groups: &NONE,
            title: "peer 10.0.10.2/32",
            elapsed_s: 3725.4,
            at_ns: 1_000,
            time: "2026-01-02T03:04:05.000000Z",
            flows,
            jiffy_ns: 4_000_000,
            all_segments: Some(9),
            fault: Some("corrupt 50%"),
            postgres: &[],
            lost_events: Some(0),
        }
    }

    #[test]
    fn the_screen_shows_flow_kinds_and_what_was_added() {
        let table = table();
        let lines = screen(&view(&table.sorted()), 120, 24);
        assert_eq!(
            lines[0],
            "tracer: peer 10.0.10.2/32, 01:02:05 (Ctrl-C ends)"
        );
        assert_eq!(lines[1], "fault:  corrupt 50%");
        assert!(
            lines[3].starts_with("       3      +3 10.0.10.3:41000 > 10.0.10.2:5432  rto 3"),
            "{}",
            lines[3]
        );
        assert_eq!(lines[4], "       9 segments to all peers");
    }

    #[test]
    fn the_screen_never_exceeds_the_terminal() {
        let table = table();
        let entry = table.sorted()[0];
        let many: Vec<&Entry> = vec![entry; 50];
        for (width, height) in [(80, 24), (20, 8), (1, 6)] {
            let lines = screen(&view(&many), width, height);
            assert!(
                lines.len() < height.max(7),
                "{} lines on {height}",
                lines.len()
            );
        }
    }

    #[test]
    fn more_flows_than_there_is_room_for_are_added_up_by_peer() {
        let table = table();
        let many: Vec<&Entry> = vec![table.sorted()[0]; 50];
        let lines = screen(&view(&many), 120, 24);
        assert_eq!(
            lines[2].split_whitespace().last(),
            Some("KINDS"),
            "{}",
            lines[2]
        );
        assert_eq!(
            lines[3],
            "     150    +150      50  10.0.10.2:5432  rto 150"
        );
        assert!(lines[4].contains("RTO max"), "{}", lines[4]);
        assert!(
            lines.contains(&"         and 34 more flows".to_owned()),
            "{lines:#?}"
        );
    }

    #[test]
    fn the_line_names_the_flows_that_moved_most() {
        let table = table();
        let many: Vec<&Entry> = vec![table.sorted()[0]; 50];
        let line = line(&view(&many));
        assert!(line.contains("+150 segments, 150 in all"), "{line}");
        assert_eq!(line.matches(" rto 3").count(), MOST_IN_A_LINE);
        assert!(line.contains("; 42 more flows +126;"), "{line}");
    }

    #[test]
    fn the_line_names_only_flows_that_moved() {
        let table = table();
        let sorted = table.sorted();
        let mut view = view(&sorted);
        assert_eq!(
            line(&view),
            "2026-01-02T03:04:05.000000Z +3 segments, 3 in all; 10.0.10.3:41000 > 10.0.10.2:5432 rto 3; fault: corrupt 50%"
        );
        view.at_ns = 2_000;
        view.fault = None;
        assert_eq!(
            line(&view),
            "2026-01-02T03:04:05.000000Z +0 segments, 3 in all"
        );
    }
}
