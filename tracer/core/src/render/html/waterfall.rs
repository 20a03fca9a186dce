//! One commit's parts as bars, and what happened on the wire as marks.

use std::fmt::Write;

use crate::render::html::escape::escape;
use crate::render::html::plot::{WIDTH, round};
use crate::render::table::milliseconds;
use crate::render::waterfall::Waterfall;

/// The least share of the axis that a bar takes, to be seen.
const MIN_SHARE: f64 = 0.003;
/// How many colours there are.
const TINTS: usize = 8;

pub(super) fn write(html: &mut String, waterfall: &Waterfall) {
    // Writing to a string cannot fail, here and below.
    html.push_str("<figure class=\"fall\">\n");
    for (at, bar) in waterfall.bars.iter().enumerate() {
        let from = waterfall.share(bar.from_ms).min(1.0 - MIN_SHARE);
        let wide = waterfall.share(bar.from_ms + bar.took_ms) - from;
        let took = milliseconds(Some(bar.took_ms));
        let _ = writeln!(
            html,
            "<span>{}</span><span class=\"n\">{}</span>\
             <svg viewBox=\"0 0 {WIDTH} 10\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"{}\"><rect class=\"span t{}\" x=\"{}\" y=\"1\" width=\"{}\" \
             height=\"8\"/></svg>",
            escape(bar.name),
            escape(&took),
            escape(&format!("{}: {took}", bar.name)),
            at % TINTS,
            round(from * WIDTH),
            round(wide.max(MIN_SHARE) * WIDTH)
        );
    }
    if !waterfall.marks.is_empty() {
        let _ = write!(
            html,
            "<span>on the wire</span><span></span>\
             <svg viewBox=\"0 0 {WIDTH} 10\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"on the wire\">"
        );
        for mark in &waterfall.marks {
            let at = waterfall.share(mark.after_ms).min(1.0 - MIN_SHARE);
            let _ = write!(
                html,
                "<rect class=\"mark\" x=\"{}\" y=\"0\" width=\"{}\" height=\"10\">\
                 <title>{}</title></rect>",
                round(at * WIDTH),
                round(MIN_SHARE * WIDTH),
                escape(&mark.text)
            );
        }
        html.push_str("</svg>\n");
    }
    html.push_str("</figure>\n");
}
