//! Stretches of time, row by row.

use std::fmt::Write;

use crate::render::chart::Timeline;
use crate::render::html::escape::escape;
use crate::render::html::plot::{WIDTH, round, share, write_phase_names, write_phases, write_time};

/// The least share of the axis that a stretch takes, to be seen.
const MIN_SHARE: f64 = 0.004;
const ROW: f64 = 10.0;

pub(crate) fn write(html: &mut String, timeline: &Timeline) {
    let axis = &timeline.axis;
    let height = ROW * timeline.rows.len() as f64;
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        html,
        "<figure>\n<figcaption><b>{}</b></figcaption>\n<div class=\"frame rows\">\n\
         <div class=\"field\">\n",
        escape(&timeline.title)
    );
    write_phase_names(html, axis);
    let _ = write!(
        html,
        "<div class=\"lanes\" style=\"height:{}rem\">\n\
         <svg viewBox=\"0 0 {WIDTH} {height}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{}\">\n",
        2.6 * timeline.rows.len() as f64,
        escape(&timeline.title)
    );
    write_phases(html, axis, height);
    let mut names = String::new();
    for (index, row) in timeline.rows.iter().enumerate() {
        let top = ROW * index as f64;
        let mut texts: Vec<&str> = Vec::new();
        for span in &row.spans {
            let from = axis.share(span.from_s);
            let wide = (axis.share(span.to_s) - from).max(MIN_SHARE);
            let _ = writeln!(
                html,
                "<rect class=\"span t{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"3\">\
                 <title>{}</title></rect>",
                span.tint,
                round(from * WIDTH),
                top + 6.0,
                round(wide * WIDTH),
                escape(&format!(
                    "{:.1} s to {:.1} s: {}",
                    span.from_s, span.to_s, span.text
                ))
            );
            if !texts.contains(&span.text.as_str()) {
                texts.push(&span.text);
            }
        }
        let _ = write!(
            names,
            "<span style=\"top:{}%\"><b>{}</b> {}</span>",
            share(index as f64 / timeline.rows.len() as f64),
            escape(&row.name),
            escape(&texts.join(" · "))
        );
    }
    let _ = write!(html, "</svg>\n<div class=\"names\">{names}</div>\n</div>\n");
    write_time(html, axis);
    html.push_str("</div>\n</div>\n</figure>\n");
}
