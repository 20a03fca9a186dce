//! Accounts as Markdown: what HTML shows, without charts.

use std::fmt::Write;

use crate::sink::document::{Block, Document, Table};

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

/// Text in which nothing is markup, in one line.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.trim_start().chars() {
        match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '&' | '$' => {
                safe.push('\\');
                safe.push(character);
            }
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => {
                safe.extend(character.escape_unicode());
            }
            character if character.is_control() => safe.extend(character.escape_default()),
            character => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::document::Section;

    #[test]
    fn what_is_hostile_stays_text() {
        let evil = "a|b\n# c <script> [x](y) `z` *w* \u{1b}[2J";
        let mut table = Table::new(&["name", ">count"]);
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
}
