//! Bars of parts, and which colour is which part.

use std::fmt::Write;

use crate::render::html::escape::escape;
use crate::render::html::plot::{WIDTH, round};
use crate::render::stacked_bars::{StackedBar, StackedBars};
use crate::render::table::milliseconds;

/// How many colours there are.
const TINTS: usize = 8;

pub(super) fn write(html: &mut String, all: &StackedBars) {
    // Writing to a string cannot fail, here and below.
    html.push_str("<figure class=\"fall\">\n");
    for bar in &all.bars {
        let total = match bar.commits {
            0 => "no slow commit".to_owned(),
            _ => milliseconds(Some(bar.total_ms())),
        };
        let _ = writeln!(
            html,
            "<span>{}</span><span class=\"n\">{}</span>\
             <svg viewBox=\"0 0 {WIDTH} 10\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"{}\">{}</svg>",
            escape(&bar.name),
            escape(&total),
            escape(&words(all, bar)),
            parts(all, bar)
        );
    }
    html.push_str("</figure>\n<p class=\"key\">");
    for (at, part) in all.parts.iter().enumerate() {
        let _ = write!(
            html,
            "<span><i class=\"t{}\"></i>{}</span>",
            at % TINTS,
            escape(part)
        );
    }
    html.push_str("</p>\n");
}

fn parts(all: &StackedBars, bar: &StackedBar) -> String {
    let mut from = 0.0;
    let mut svg = String::new();
    for (at, part) in all.parts.iter().enumerate() {
        let Some(share) = bar.share(at).filter(|share| *share > 0.0) else {
            continue;
        };
        let _ = write!(
            svg,
            "<rect class=\"span t{}\" x=\"{}\" y=\"1\" width=\"{}\" height=\"8\">\
             <title>{}</title></rect>",
            at % TINTS,
            round(from * WIDTH),
            round(share * WIDTH),
            escape(&told(part, share))
        );
        from += share;
    }
    svg
}

fn words(all: &StackedBars, bar: &StackedBar) -> String {
    let parts = all.parts.iter().enumerate();
    let told: Vec<String> = parts
        .filter_map(|(at, part)| Some(told(part, bar.share(at)?)))
        .collect();
    format!("{}: {}", bar.name, told.join(", "))
}

fn told(part: &str, share: f64) -> String {
    format!("{part} {:.0} %", 100.0 * share)
}
