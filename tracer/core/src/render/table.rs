//! Flows as a table of text, for the live view and the summary.

use unicode_width::UnicodeWidthChar;

use crate::harmless;
use crate::report::ByKind;
use crate::text::{columns, padded};

/// One line of the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// Both ends.
    pub flow: String,
    /// Retransmitted segments.
    pub segments: u64,
    /// What was added in the last interval, where that is shown.
    pub added: Option<u64>,
    /// The kinds that there are.
    pub kinds: String,
    /// The largest retransmission timeout.
    pub rto_max: String,
    /// Round-trip time.
    pub srtt: String,
    /// Congestion window.
    pub cwnd: String,
    /// Whose socket it is.
    pub process: String,
}

/// A table with a header, lines no longer than `width`.
#[must_use]
pub fn render(rows: &[Row], width: usize) -> Vec<String> {
    let with_added = rows.iter().any(|row| row.added.is_some());
    let widest = |of: fn(&Row) -> &String, least| {
        let cells = rows.iter().map(|row| columns(of(row)));
        cells.fold(least, usize::max)
    };
    let (flow, kinds) = (widest(|row| &row.flow, 4), widest(|row| &row.kinds, 5));
    let mut lines = Vec::with_capacity(rows.len() + 1);
    let added = |text: &str| match with_added {
        true => format!("{text:>7} "),
        false => String::new(),
    };
    lines.push(format!(
        "{:>8} {}{:<flow$}  {:<kinds$}  {:>10} {:>9} {:>5}  {}",
        "SEGMENTS",
        added("ADDED"),
        "FLOW",
        "KINDS",
        "RTO max",
        "SRTT",
        "CWND",
        "PROCESS"
    ));
    for row in rows {
        let grown = match row.added {
            Some(0) | None => added(""),
            Some(count) => added(&format!("+{count}")),
        };
        lines.push(format!(
            "{:>8} {grown}{}  {}  {:>10} {:>9} {:>5}  {}",
            row.segments,
            padded(&row.flow, flow),
            padded(&row.kinds, kinds),
            row.rto_max,
            row.srtt,
            row.cwnd,
            row.process
        ));
    }
    lines
        .into_iter()
        .map(|line| clip(line.trim_end(), width))
        .collect()
}

/// The kinds that there are, most frequent first.
pub fn kinds(by_kind: &ByKind) -> String {
    let mut kinds = by_kind.each();
    kinds.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let named = kinds.iter().filter(|(_, count)| *count > 0);
    named
        .map(|(kind, count)| format!("{} {count}", kind.name()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Milliseconds as people read them.
pub fn milliseconds(ms: Option<f64>) -> String {
    match ms {
        None => "-".to_owned(),
        Some(ms) if ms >= 10_000.0 => format!("{:.1} s", ms / 1000.0),
        Some(ms) if ms >= 10.0 => format!("{ms:.0} ms"),
        Some(ms) => format!("{ms:.2} ms"),
    }
}

pub(crate) fn rtt_ms(us: Option<u32>) -> Option<f64> {
    us.map(|us| f64::from(us) / 1e3)
}

/// A number, or `-` where none was measured.
pub fn number<T: ToString>(number: Option<T>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

/// What is known, or `?`.
pub(crate) fn known<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "?".to_owned(), |value| value.to_string())
}

/// The same of an age, ms, in seconds.
pub(crate) fn known_s(ms: Option<f64>) -> String {
    known(ms.map(|ms| format!("{:.1} s", ms / 1e3)))
}

/// What fits into so many columns, as it is shown.
#[must_use]
pub fn clip(line: &str, width: usize) -> String {
    let mut room = width;
    let line = harmless::line(line);
    let fitting = line.chars().take_while(|one| {
        let wide = one.width().unwrap_or(0);
        let fits = wide <= room;
        room = room.saturating_sub(wide);
        fits
    });
    fitting.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_line_is_too_long() {
        let row = |flow: &str, segments| Row {
            flow: flow.into(),
            segments,
            added: Some(segments),
            kinds: "rto 1".into(),
            rto_max: "208 ms".into(),
            srtt: "0.81 ms".into(),
            cwnd: "10".into(),
            process: "postgres: walreceiver [17]".into(),
        };
        let lines = render(&[row("a > b", 1), row("longer > b", 12_345)], 200);
        let at = |line: &str| line.find("postgres").or_else(|| line.find("PROCESS"));
        assert_eq!(at(&lines[0]), at(&lines[1]));
        assert_eq!(at(&lines[1]), at(&lines[2]));
        assert!(
            render(&[row("a > b", 1)], 40)
                .iter()
                .all(|line| columns(line) <= 40)
        );
    }

    #[test]
    fn kinds_are_named_by_frequency() {
        let by_kind = ByKind {
            rto: 2,
            tlp: 7,
            ..ByKind::default()
        };
        assert_eq!(kinds(&by_kind), "tlp 7, rto 2");
        assert_eq!(kinds(&ByKind::default()), "");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(milliseconds(Some(0.5)), "0.50 ms");
        assert_eq!(milliseconds(Some(208.0)), "208 ms");
        assert_eq!(milliseconds(Some(26_600.0)), "26.6 s");
        assert_eq!(milliseconds(None), "-");
    }
}
