//! The live view: redrawn on a terminal, one line an interval elsewhere.

use std::io::{self, IsTerminal};
use std::time::Duration;

use tracer_core::by_kind::sum;
use tracer_core::harmless;
use tracer_core::recording::flow_table::Entry;
use tracer_core::recording::programs::Unwritten;
use tracer_core::recording::roles::Known;
use tracer_core::render::table::{self, Row};
use tracer_core::report::ByKind;
use tracer_core::report::endpoint::endpoints;

use crate::config::Verbosity;
use crate::files::{Descriptor, Writer};
use crate::terminal;

/// Everything that is shown at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot<'a> {
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
    /// Length of a jiffy, ns.
    pub jiffy_ns: u64,
    /// Segments to every peer.
    pub all_segments: Option<u64>,
    /// The state of the fault, if one was asked for.
    pub fault: Option<&'a str>,
    /// The database: a line for the server, one for each standby, one for commits.
    pub postgres: &'a [String],
    /// What it tells of connections.
    pub known: &'a Known,
    /// Events that were lost.
    pub lost_events: Option<u64>,
}

/// How long the report waits for lines that are on their way.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where the live view goes. What nobody takes is dropped, and nobody waits for it.
#[derive(Debug)]
pub(crate) struct Live {
    output: Option<(Stream, Writer)>,
    terminal: bool,
    drawn: usize,
}

/// A standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Output,
    Error,
}

impl Live {
    /// A view on standard output, or on standard error if that is taken.
    pub(crate) fn new(verbosity: Verbosity, stdout_is_taken: bool) -> io::Result<Self> {
        let stream = match (verbosity, stdout_is_taken) {
            (Verbosity::Quiet, _) => None,
            (_, false) => Some(Stream::Output),
            (_, true) => Some(Stream::Error),
        };
        let terminal = stream.is_some_and(Stream::is_terminal);
        // What the programs log goes through the same terminal, line by line.
        let terminal = terminal && !matches!(verbosity, Verbosity::Verbose(_));
        Ok(Self {
            output: match stream {
                Some(stream) => Some((stream, stream.writer()?)),
                None => None,
            },
            terminal,
            drawn: 0,
        })
    }

    /// Whether it is redrawn in place.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether whoever looked at it has left: a pipe was closed, or a terminal is gone.
    pub(crate) fn is_left(&self) -> bool {
        self.output.as_ref().is_some_and(|(_, to)| to.is_left())
    }

    /// Shows a moment.
    pub(crate) fn show(&mut self, snapshot: &Snapshot<'_>) {
        let Some((stream, output)) = &self.output else {
            return;
        };
        if !self.terminal {
            let line = line(snapshot);
            output.write(format!("{}\n", harmless::line(&line)).into_bytes());
            return;
        }
        // A terminal that was stopped has the last picture still to come.
        if !output.is_idle() {
            return;
        }
        let (width, height) = stream.size();
        let lines = screen(snapshot, width, height);
        let mut text = erase(self.drawn);
        for line in &lines {
            text.push_str(&harmless::line(line));
            text.push('\n');
        }
        self.drawn = lines.len();
        output.write(text.into_bytes());
    }

    /// Lines that were to be read along and are not written by now. A terminal's pictures
    /// replace each other, and none is missing; a reader who left misses nothing.
    #[must_use]
    pub(crate) fn unwritten(&self) -> Unwritten {
        match &self.output {
            Some((_, output)) if !self.terminal => {
                let unwritten = output.settle(Some(PATIENCE));
                match output.is_left() {
                    true => Unwritten::default(),
                    false => unwritten,
                }
            }
            _ => Unwritten::default(),
        }
    }

    /// Shows the summary in place of the last moment, as [`Writer::settle`] waits.
    /// A reader who has left is no error.
    pub(crate) fn conclude(
        self,
        summary: impl FnOnce(usize) -> String,
        patience: Option<Duration>,
    ) -> io::Result<()> {
        let Some((stream, output)) = self.output else {
            return Ok(());
        };
        let width = if self.terminal {
            stream.size().0
        } else {
            usize::MAX
        };
        let before = output.lost().lines;
        let summary = summary(width);
        output.write((erase(self.drawn) + &harmless::lines(&summary)).into_bytes());
        let unwritten = output.settle(patience);
        if unwritten.lines == before || output.is_left() {
            return Ok(());
        }
        Err(io::Error::other(unwritten.cause.unwrap_or_default()))
    }
}

impl Stream {
    fn writer(self) -> io::Result<Writer> {
        match self {
            Self::Output => Writer::start(Descriptor::new(io::stdout()), &[]),
            Self::Error => Writer::start(Descriptor::new(io::stderr()), &[]),
        }
    }

    fn is_terminal(self) -> bool {
        match self {
            Self::Output => io::stdout().is_terminal(),
            Self::Error => io::stderr().is_terminal(),
        }
    }

    /// Width and height in characters.
    fn size(self) -> (usize, usize) {
        match self {
            Self::Output => terminal::size(io::stdout()),
            Self::Error => terminal::size(io::stderr()),
        }
    }
}

/// Moves to where the last drawing began and clears what follows.
fn erase(lines: usize) -> String {
    match lines {
        0 => String::new(),
        lines => format!("\x1b[{lines}A\r\x1b[J"),
    }
}

/// The whole screen, no line too long and not more than there is room for.
pub(crate) fn screen(snapshot: &Snapshot<'_>, width: usize, height: usize) -> Vec<String> {
    let mut lines = vec![table::clip(
        &format!(
            "tracer: {}, {} (Ctrl-C ends)",
            snapshot.title,
            duration(snapshot.elapsed_s)
        ),
        width,
    )];
    if let Some(fault) = snapshot.fault {
        lines.push(table::clip(&format!("fault:  {fault}"), width));
    }
    for line in snapshot.postgres {
        lines.push(table::clip(line, width));
    }
    // Title, fault, header, two closing lines and the cursor's own.
    let room = height.saturating_sub(lines.len() + 4).max(1);
    if snapshot.flows.is_empty() {
        lines.push("no connection to it so far".to_owned());
    } else {
        let rows: Vec<Row> = snapshot
            .flows
            .iter()
            .take(room)
            .map(|entry| row(entry, snapshot))
            .collect();
        lines.extend(table::render(&rows, width));
    }
    if snapshot.flows.len() > room {
        lines.push(format!(
            "         and {} more flows",
            snapshot.flows.len() - room
        ));
    }
    let mut closing = format!("{:>8} to every peer", table::number(snapshot.all_segments));
    match snapshot.lost_events {
        Some(0) => {}
        Some(lost) => closing += &format!("; {lost} events lost, no counts"),
        None => closing += "; whether events were lost is not known",
    }
    lines.push(table::clip(&closing, width));
    lines
}

/// One line for those who read along in a file.
pub(crate) fn line(snapshot: &Snapshot<'_>) -> String {
    let added: u64 = snapshot
        .flows
        .iter()
        .map(|entry| added(entry, snapshot.at_ns))
        .sum();
    let total: u64 = snapshot
        .flows
        .iter()
        .map(|entry| sum(&entry.flow.segments))
        .sum();
    let mut line = format!("{} +{added} segments, {total} in all", snapshot.time);
    for entry in snapshot.flows {
        let grown = added_kinds(entry, snapshot.at_ns);
        if !grown.is_empty() {
            let (local, remote) = endpoints(&entry.flow.tuple);
            let process = entry.process.as_ref();
            let role = snapshot
                .known
                .role(local.socket(), remote.socket(), process);
            let role = role.replication(remote.address);
            let role = role.map_or_else(String::new, |words| words + ": ");
            line += &format!("; {role}{local} > {remote} {grown}");
        }
    }
    if let Some(fault) = snapshot.fault {
        line += &format!("; fault: {fault}");
    }
    for database in snapshot.postgres {
        line += &format!("; {}", database.trim_start());
    }
    line
}

fn row(entry: &Entry, snapshot: &Snapshot<'_>) -> Row {
    let flow = &entry.flow;
    let (local, remote) = endpoints(&flow.tuple);
    let seen = flow.last_ns != 0;
    Row {
        flow: format!("{local} > {remote}"),
        segments: sum(&flow.segments),
        added: Some(added(entry, snapshot.at_ns)),
        kinds: table::kinds(&ByKind::from(flow.segments)),
        rto_max: table::milliseconds(
            seen.then(|| tracer_core::clock::jiffies_to_ms(flow.rto_max, snapshot.jiffy_ns)),
        ),
        srtt: table::milliseconds(seen.then(|| f64::from(flow.srtt_us) / 1000.0)),
        cwnd: table::number(seen.then_some(flow.cwnd)),
        process: snapshot
            .known
            .role(local.socket(), remote.socket(), entry.process.as_ref())
            .with_process(remote.address, entry.process.as_ref()),
    }
}

/// Segments of the interval that ends now.
fn added(entry: &Entry, at_ns: u64) -> u64 {
    entry
        .series
        .last()
        .filter(|step| step.at_ns == at_ns)
        .map_or(0, |step| sum(&step.segments))
}

fn added_kinds(entry: &Entry, at_ns: u64) -> String {
    let last = entry.series.last().filter(|step| step.at_ns == at_ns);
    last.map_or_else(String::new, |step| {
        table::kinds(&ByKind::from(step.segments))
    })
}

fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use tracer_core::recording::flow_table::FlowTable;
    use tracer_ebpf::{Flow, RetransmitKind, Tuple};

    use super::*;

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
        table.update(1_000, &[flow]);
        table
    }

    fn snapshot<'a>(flows: &'a [&'a Entry]) -> Snapshot<'a> {
        static KNOWN: LazyLock<Known> = LazyLock::new(Known::default);
        Snapshot {
            known: &KNOWN,
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
        let lines = screen(&snapshot(&table.sorted()), 120, 24);
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
        assert_eq!(lines[4], "       9 to every peer");
    }

    #[test]
    fn the_screen_never_exceeds_the_terminal() {
        let table = table();
        let entry = table.sorted()[0];
        let many: Vec<&Entry> = vec![entry; 50];
        for (width, height) in [(80, 24), (20, 8), (1, 6)] {
            let lines = screen(&snapshot(&many), width, height);
            assert!(
                lines.len() < height.max(7),
                "{} lines on {height}",
                lines.len()
            );
        }
    }

    #[test]
    fn the_line_names_only_flows_that_moved() {
        let table = table();
        let sorted = table.sorted();
        let mut snapshot = snapshot(&sorted);
        assert_eq!(
            line(&snapshot),
            "2026-01-02T03:04:05.000000Z +3 segments, 3 in all; 10.0.10.3:41000 > 10.0.10.2:5432 rto 3; fault: corrupt 50%"
        );
        snapshot.at_ns = 2_000;
        snapshot.fault = None;
        assert_eq!(
            line(&snapshot),
            "2026-01-02T03:04:05.000000Z +0 segments, 3 in all"
        );
    }
}
