//! Accounts as one HTML file: no script, and nothing that has to be fetched.

mod escape;
mod plot;
mod stacked_bars;
mod timeline;
mod waterfall;

use std::fmt::Write;

use crate::render::document::{Block, Document, Section, Table};
use crate::render::html::escape::escape;

const STYLE: &str = include_str!("html/style.css");
/// Tables with more columns than this become lists of cards on a phone.
const NARROW_COLUMNS: usize = 4;

/// The whole file.
#[must_use]
pub fn render(document: &Document) -> String {
    let title = escape(&document.title);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <header>\n<p class=\"title\">{title}</p>\n<h1>{}</h1>\n",
        escape(&document.verdict)
    );
    // Writing to a string cannot fail.
    for line in &document.lead {
        let _ = writeln!(html, "<p class=\"lead\">{}</p>", escape(line));
    }
    html += "</header>\n";
    for section in &document.sections {
        write_section(&mut html, section);
    }
    html += "</main>\n</body>\n</html>\n";
    html
}

fn write_section(html: &mut String, section: &Section) {
    html.push_str("<section>\n");
    write_element(html, "h2", &section.title);
    for block in &section.blocks {
        match block {
            Block::Heading(text) => write_element(html, "h3", text),
            Block::Text(text) => write_element(html, "p", text),
            Block::List(points) => {
                html.push_str("<ul>\n");
                for point in points {
                    write_element(html, "li", point);
                }
                html.push_str("</ul>\n");
            }
            Block::Table(table) => write_table(html, table),
            Block::Chart(chart) => plot::write(html, chart),
            Block::Timeline(timeline) => timeline::write(html, timeline),
            Block::Waterfall(waterfall) => waterfall::write(html, waterfall),
            Block::StackedBars(bars) => stacked_bars::write(html, bars),
        }
    }
    html.push_str("</section>\n");
}

fn write_element(html: &mut String, name: &str, text: &str) {
    let _ = writeln!(html, "<{name}>{}</{name}>", escape(text));
}

fn write_table(html: &mut String, table: &Table) {
    let class = match table.head.len() > NARROW_COLUMNS {
        true => " class=\"cards\"",
        false => "",
    };
    let number = |at: usize| match table.head.get(at) {
        Some(column) if column.numbers => " class=\"n\"",
        _ => "",
    };
    let _ = write!(html, "<div class=\"scroll\"><table{class}>\n<thead><tr>");
    for (at, column) in table.head.iter().enumerate() {
        let _ = write!(
            html,
            "<th scope=\"col\"{}>{}</th>",
            number(at),
            escape(&column.name)
        );
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        html.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let name = table.head.get(at).map_or("", |column| column.name.as_str());
            let _ = write!(
                html,
                "<td{} data-name=\"{}\">{}</td>",
                number(at),
                escape(name),
                escape(cell)
            );
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::chart::{
        Axis, Bars, Chart, Plot, Shade, Timeline, TimelineRow, TimelineSpan, Unit,
    };

    #[test]
    fn what_is_hostile_stays_text_wherever_it_is() {
        let evil = "</title><script>alert(1)</script>\" onload='x'\u{202e}\u{0}&";
        let mut table = Table::new(&[evil; 5].join(" | "));
        table.row([evil.to_owned()]);
        let axis = Axis {
            length_s: 10.0,
            phases: vec![Shade {
                from_s: 0.0,
                to_s: 10.0,
                name: evil.into(),
                stands_out: true,
            }],
        };
        let document = Document {
            title: evil.into(),
            verdict: evil.into(),
            lead: vec![evil.into()],
            sections: vec![Section {
                title: evil.into(),
                blocks: vec![
                    Block::Heading(evil.into()),
                    Block::Text(evil.into()),
                    Block::List(vec![evil.into()]),
                    Block::Table(table),
                    Block::Chart(Chart {
                        title: evil.into(),
                        note: evil.into(),
                        axis: axis.clone(),
                        unit: Unit::Count,
                        plot: Plot::Bars {
                            width_s: 5.0,
                            series: vec![Bars {
                                name: evil.into(),
                                tint: 0,
                                values: vec![1.0, 2.0],
                            }],
                        },
                    }),
                    Block::Timeline(Timeline {
                        title: evil.into(),
                        axis,
                        rows: vec![TimelineRow {
                            name: evil.into(),
                            spans: vec![TimelineSpan {
                                from_s: 0.0,
                                to_s: 5.0,
                                text: evil.into(),
                                tint: 0,
                            }],
                        }],
                    }),
                ],
            }],
        };
        let html = render(&document);
        assert!(!html.contains("<script"), "{html}");
        assert!(!html.contains("onload='"), "{html}");
        assert!(
            !html.contains('\u{202e}') && !html.contains('\u{0}'),
            "{html}"
        );
    }
}
