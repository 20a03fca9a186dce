//! The answer as a person reads it: 80 columns, whatever the terminal.

use crate::command::check::report::Report;
use crate::command::check::row::{Group, Row};
use tracer_core::text::columns;

const WIDTH: usize = 80;
/// Two spaces, `yes`, two spaces.
const NAME_AT: usize = 7;
/// A longer name has a line to itself.
const MAX_NAME: usize = 22;

/// Every row under the title of its group, and the conclusion.
pub(super) fn render(report: &Report) -> String {
    let rows = &report.checks;
    let longest = rows.iter().map(|row| columns(&row.name));
    let found_at = NAME_AT + longest.max().unwrap_or(0).min(MAX_NAME) + 2;
    let mut text = String::new();
    let mut group = None;
    for row in rows {
        if group != Some(row.group) {
            if group.is_some() {
                text.push('\n');
            }
            group = Some(row.group);
            text.push_str(title(row.group));
            text.push('\n');
        }
        add_row(&mut text, row, found_at);
    }
    text.push('\n');
    add_wrapped(&mut text, "", &conclusion(report), 0);
    text
}

fn title(group: Group) -> &'static str {
    match group {
        Group::Kernel => "Kernel",
        Group::Capabilities => "Capabilities of this process",
        Group::Programs => "Kernel programs, by their tracepoints: loaded, attached, detached",
        Group::Fault => "Faults",
        Group::Interface => "Interface of a fault (--peer, --interface)",
        Group::Postgresql => "PostgreSQL: symbols for attributing commits",
        Group::OtherTools => "Not needed by tracer",
    }
}

fn add_row(text: &mut String, row: &Row, found_at: usize) {
    let status = match row.ok {
        Some(true) => "yes",
        Some(false) => "no",
        None => "?",
    };
    let mut head = format!("  {status:<3}  {}", row.name);
    let length = columns(&head);
    if length + 2 > found_at {
        text.push_str(&head);
        text.push('\n');
        head = String::new();
    }
    let spaces = found_at.saturating_sub(columns(&head));
    head.extend(std::iter::repeat_n(' ', spaces));
    add_wrapped(text, &head, &row.found, found_at);
    for (label, words) in [("consequence", &row.consequence), ("remedy", &row.remedy)] {
        if let Some(words) = words {
            let label = format!("{:NAME_AT$}{label}: ", "");
            add_wrapped(text, &label, words, NAME_AT + 2);
        }
    }
}

fn conclusion(report: &Report) -> String {
    let names = |ok| {
        let names = report
            .checks
            .iter()
            .filter(|row| row.required && row.ok == ok);
        names
            .map(|row| row.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    match report.can_run {
        Some(true) => "`tracer run` can work here.".to_owned(),
        Some(false) => format!("`tracer run` cannot work here: {}.", names(Some(false))),
        None => format!(
            "Whether `tracer run` can work here could not be found out: {}.",
            names(None)
        ),
    }
}

/// Adds words, broken at spaces; lines after the first begin at column `indent`.
/// A word that fits no line is longer than it.
fn add_wrapped(text: &mut String, head: &str, words: &str, indent: usize) {
    let mut line = head.to_owned();
    let mut empty = true;
    for word in words.split_whitespace() {
        if !empty && columns(&line) + 1 + columns(word) > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = " ".repeat(indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::row::Group::{Capabilities, Fault, Kernel};
    use crate::command::check::shortfall;

    fn rendered(rows: Vec<Row>) -> String {
        render(&Report::new("6.1.0".to_owned(), rows))
    }

    #[test]
    fn rows_line_up_under_their_groups_and_gaps_are_explained() {
        let text = rendered(vec![
            Row::yes(Kernel, "release", "6.1.0; 5.10 is the oldest supported"),
            Row::no(
                Kernel,
                "field inet_connection_sock.icsk_timeout",
                "not in this kernel, or not as tracer reads it",
                shortfall::Shortfall {
                    consequence: "some kinds are distinguished less surely",
                    remedy: "none",
                },
            ),
            Row::no(Capabilities, "CAP_BPF", "not held", shortfall::MAY_LOAD).required(),
            Row::unknown(Fault, "TCX link", "not tried"),
        ]);
        let expected = "\
Kernel
  yes  release                 6.1.0; 5.10 is the oldest supported
  no   field inet_connection_sock.icsk_timeout
                               not in this kernel, or not as tracer reads it
       consequence: some kinds are distinguished less surely
       remedy: none

Capabilities of this process
  no   CAP_BPF                 not held
       consequence: `tracer run` does not start: it may not load its kernel
         programs
       remedy: run it with sudo

Faults
  ?    TCX link                not tried

`tracer run` cannot work here: CAP_BPF.
";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_conclusion_names_what_could_not_be_tried() {
        let row = Row::unknown(Kernel, "BTF", "not tried").required();
        let text = rendered(vec![row]);
        assert!(text.ends_with("could not be found out: BTF.\n"), "{text}");
        let text = rendered(vec![Row::yes(Kernel, "BTF", "there").required()]);
        assert!(text.ends_with("can work here.\n"), "{text}");
    }

    #[test]
    fn no_line_is_longer_than_80_columns_unless_one_word_is() {
        let long = "word ".repeat(60);
        let path = format!("/{}", "x".repeat(100));
        let text = rendered(vec![
            Row::no(
                Kernel,
                "BTF",
                &long,
                shortfall::Shortfall {
                    consequence: &*long,
                    remedy: &*long,
                },
            ),
            Row::yes(Fault, "path", &path),
        ]);
        let (too_long, rest): (Vec<_>, Vec<_>) =
            text.lines().partition(|line| line.contains("/xxx"));
        assert_eq!(too_long.len(), 1);
        assert!(rest.iter().all(|line| line.chars().count() <= 80), "{text}");
        assert!(!text.lines().any(|line| line.ends_with(' ')), "{text}");
    }

    #[test]
    fn nothing_found_is_an_empty_place() {
        assert!(rendered(vec![Row::yes(Kernel, "x", "")]).contains("  yes  x\n"));
        assert!(!rendered(Vec::new()).is_empty());
    }
}
