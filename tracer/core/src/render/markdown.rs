//! Accounts as Markdown: what HTML shows, without charts.

use std::fmt::Write;

use crate::render::document::{Block, Document, Table};
use crate::text::shown;

/// What a page of code shows without a scroll bar.
const WATERFALL_WIDTH: usize = 80;

/// The whole file.
#[must_use]
pub fn render(document: &Document) -> String {
    // Writing to a string cannot fail.
    let mut text = format!(
        "# {}\n\n**{}**\n",
        escape(&document.title),
        escape(&document.verdict)
    );
    for line in &document.lead {
        let _ = write!(text, "\n{}\n", escape(line));
    }
    for section in &document.sections {
        let mut body = String::new();
        for block in &section.blocks {
            match block {
                Block::Heading(heading) => {
                    let _ = write!(body, "\n### {}\n", escape(heading));
                }
                Block::Text(paragraph) => {
                    let _ = write!(body, "\n{}\n", escape(paragraph));
                }
                Block::List(points) => {
                    body.push('\n');
                    for point in points {
                        let _ = writeln!(body, "- {}", escape(point));
                    }
                }
                Block::Table(table) => write_table(&mut body, table),
                Block::StackedBars(bars) => write_table(&mut body, &bars.into()),
                Block::Waterfall(waterfall) => {
                    // Made of our own words and numbers alone.
                    body.push_str("\n```text\n");
                    for line in waterfall.lines(WATERFALL_WIDTH) {
                        let _ = writeln!(body, "{}", line.trim_end());
                    }
                    body.push_str("```\n");
                }
                Block::Chart(_) | Block::Timeline(_) => {}
            }
        }
        if !body.is_empty() {
            let _ = write!(text, "\n## {}\n{body}", escape(&section.title));
        }
    }
    text
}

fn write_table(text: &mut String, table: &Table) {
    let row = |cells: &mut dyn Iterator<Item = String>| {
        let cells: Vec<String> = cells.collect();
        format!("| {} |\n", cells.join(" | "))
    };
    text.push('\n');
    text.push_str(&row(&mut table.head.iter().map(|one| escape(&one.name))));
    text.push_str(&row(&mut table
        .head
        .iter()
        .map(|one| if one.numbers { "---:" } else { "---" }.to_owned())));
    for cells in &table.rows {
        text.push_str(&row(&mut cells.iter().map(|cell| escape(cell))));
    }
}

/// Text in which nothing is markup, nothing becomes a link and nobody is called, in one
/// line.
fn escape(text: &str) -> String {
    let text = text.trim_start();
    let mut safe = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        let (before, after) = (&text[..at], &text[at + character.len_utf8()..]);
        match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '&' | '$' => {
                safe.push('\\');
                safe.push(character);
            }
            // Addresses are linked also where they stand alone.
            ':' if after.starts_with("//") => safe.push_str("\\:"),
            '.' if ends_with_www(before) => safe.push_str("\\."),
            // Mail addresses are found, and people called, when escapes are gone already.
            '@' => safe.push_str("@<!-- -->"),
            character => match shown(character) {
                Some(shown) => safe.push_str(&shown),
                None => safe.push(character),
            },
        }
    }
    safe
}

fn ends_with_www(text: &str) -> bool {
    let last = text.as_bytes().last_chunk::<3>();
    last.is_some_and(|last| last.eq_ignore_ascii_case(b"www"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::document::Section;

    #[test]
    fn what_is_hostile_stays_text() {
        let evil = "a|b\n# c <script> [x](y) `z` *w* \u{1b}[2J";
        let mut table = Table::new("name | >count");
        table.row([evil.to_owned(), "1".to_owned()]);
        let text = render(&Document {
            title: "t".into(),
            verdict: evil.into(),
            lead: Vec::new(),
            sections: vec![Section {
                title: "s".into(),
                blocks: vec![Block::Table(table)],
            }],
        });
        let safe = r"a\|b\n\# c \<script\> \[x\](y) \`z\` \*w\* \u{1b}\[2J";
        assert_eq!(
            text,
            format!(
                "# t\n\n**{safe}**\n\n## s\n\n| name | count |\n| --- | ---: |\n| {safe} | 1 |\n"
            )
        );
    }

    #[test]
    fn nothing_becomes_a_link_and_nobody_is_called() {
        for (text, safe) in [
            ("https://evil.example/x", r"https\://evil.example/x"),
            ("WWW.evil.example", r"WWW\.evil.example"),
            ("@team a@b.example", "@<!-- -->team a@<!-- -->b.example"),
            ("12:30, port 5432: 1.5 s", "12:30, port 5432: 1.5 s"),
            ("\u{feff}\u{61c}", r"\u{feff}\u{61c}"),
        ] {
            assert_eq!(escape(text), safe);
        }
    }
}
