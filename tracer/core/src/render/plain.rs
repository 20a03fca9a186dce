//! Accounts as plain text, for a terminal: what HTML shows, without charts.

use std::fmt::Write;

use crate::render::document::{Block, Document, Table};
use crate::text::{columns, padded, padded_before};

/// The whole text; lines of paragraphs and lists are no longer than `width` where
/// words allow it.
#[must_use]
pub fn render(document: &Document, width: usize) -> String {
    let mut text = String::new();
    wrap(&mut text, &document.verdict, "", width);
    for line in &document.lead {
        wrap(&mut text, line, "", width);
    }
    for section in &document.sections {
        let mut body = String::new();
        for block in &section.blocks {
            match block {
                Block::Heading(heading) => {
                    body.push('\n');
                    wrap(&mut body, heading, "  ", width);
                }
                Block::Text(paragraph) => wrap(&mut body, paragraph, "  ", width),
                Block::List(points) => {
                    for point in points {
                        wrap(&mut body, point, "  - ", width);
                    }
                }
                Block::Table(table) => write_table(&mut body, table),
                Block::StackedBars(bars) => write_table(&mut body, &bars.into()),
                Block::Waterfall(waterfall) => {
                    for line in waterfall.lines(width.saturating_sub(2)) {
                        let _ = writeln!(body, "  {}", harmless(line.trim_end()));
                    }
                }
                Block::Chart(_) | Block::Timeline(_) => {}
            }
        }
        if !body.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n{}\n{body}", harmless(&section.title));
        }
    }
    text
}

/// Words in lines; the first begins so, and the others are indented as far.
fn wrap(text: &mut String, words: &str, begin: &str, width: usize) {
    let indent = " ".repeat(begin.len());
    let mut line = begin.to_owned();
    let mut empty = true;
    for word in harmless(words).split_whitespace() {
        let fits = columns(&line) + columns(word) < width;
        if !empty && !fits {
            text.push_str(line.trim_end());
            text.push('\n');
            line.clone_from(&indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    text.push_str(&line);
    text.push('\n');
}

fn write_table(text: &mut String, table: &Table) {
    let rows: Vec<Vec<String>> = table
        .rows
        .iter()
        .map(|row| row.iter().map(|cell| harmless(cell)).collect())
        .collect();
    let widths: Vec<usize> = table
        .head
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            let widest = cells.map(|cell| columns(cell)).max();
            widest.unwrap_or(0).max(columns(&column.name))
        })
        .collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::from("  ");
        for ((cell, column), width) in cells.zip(&table.head).zip(&widths) {
            line.push_str(&match column.numbers {
                true => padded_before(cell, *width),
                false => padded(cell, *width),
            });
            line.push_str("  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(&mut table.head.iter().map(|column| column.name.as_str()));
    for row in &rows {
        line(&mut row.iter().map(String::as_str));
    }
}

fn harmless(text: &str) -> String {
    crate::text::harmless(text, usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::document::Section;

    #[test]
    fn columns_line_up_words_wrap_and_nothing_reaches_the_terminal() {
        let mut table = Table::new("name | >count");
        table.row(["a\u{1b}[2J".to_owned(), "12345".to_owned()]);
        let text = render(
            &Document {
                title: "t".into(),
                verdict: "one two three four".into(),
                lead: Vec::new(),
                sections: vec![Section {
                    title: "S".into(),
                    blocks: vec![
                        Block::List(vec!["one two three".into()]),
                        Block::Table(table),
                    ],
                }],
            },
            14,
        );
        assert_eq!(
            text,
            "one two three\nfour\n\nS\n  - one two\n    three\n  name        count\n  a\\u{1b}[2J  12345\n"
        );
    }
}
