//! Charts as SVG. The drawing is stretched to the width of the page, and its labels
//! are text next to it, which is not: they are as readable on a phone.

use std::fmt::Write;

use crate::render::chart::scale::{self, Scale, label};
use crate::render::chart::{Axis, Bars, Chart, Line, Plot, Stroke};
use crate::render::html::escape::escape;

/// The size of the drawing, before it is stretched.
pub(crate) const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 100.0;
/// Phases narrower than this share of the axis are not named on it.
const NAMED: f64 = 0.08;
/// The least share of the axis that what happened at a moment takes, to be hit by
/// a pointer.
const HIT: f64 = 0.004;
/// The most moments of lines that show their values to a pointer.
const MOST_HITS: usize = 120;

pub(crate) fn write(html: &mut String, chart: &Chart) {
    let scale = Scale::of(chart);
    let ticks = scale.ticks(chart.unit);
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        html,
        "<figure>\n<figcaption><b>{}</b>",
        escape(&chart.title)
    );
    if !chart.note.is_empty() {
        let _ = write!(html, " <span>{}</span>", escape(&chart.note));
    }
    html.push_str("</figcaption>\n");
    write_legend(html, &chart.plot);
    html.push_str("<div class=\"frame\">\n<div class=\"y\">");
    for (height, text) in &ticks {
        write_span(html, "", &format!("bottom:{}%", share(*height)), text);
    }
    html.push_str("</div>\n<div class=\"field\">\n");
    write_phase_names(html, &chart.axis);
    let _ = writeln!(
        html,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{}\">",
        escape(&chart.title)
    );
    write_phases(html, &chart.axis, HEIGHT);
    for (height, _) in &ticks {
        let y = round(HEIGHT * (1.0 - height));
        let _ = writeln!(html, "<path class=\"grid\" d=\"M0 {y}H{WIDTH}\"/>");
    }
    match &chart.plot {
        Plot::Bars { width_s, series } => write_bars(html, chart, scale, *width_s, series),
        Plot::Lines { series, .. } => {
            for line in series {
                write_line(html, &chart.axis, scale, line);
            }
            write_hits(html, chart, series);
        }
    }
    html.push_str("</svg>\n");
    write_time(html, &chart.axis);
    html.push_str("</div>\n</div>\n</figure>\n");
}

fn write_legend(html: &mut String, plot: &Plot) {
    html.push_str("<ul class=\"legend\">");
    let mut entry = |key: &str, tint: usize, name: &str| {
        let _ = write!(
            html,
            "<li><i class=\"{key} t{tint}\"></i>{}</li>",
            escape(name)
        );
    };
    match plot {
        Plot::Bars { series, .. } => {
            for bars in series {
                entry("bar", bars.tint, &bars.name);
            }
        }
        Plot::Lines { series, .. } => {
            for line in series {
                entry(class(line.stroke), line.tint, &line.name);
            }
        }
    }
    html.push_str("</ul>\n");
}

fn class(stroke: Stroke) -> &'static str {
    match stroke {
        Stroke::Solid => "solid",
        Stroke::Dashed => "dashed",
        Stroke::Dotted => "dotted",
        Stroke::Marks => "marks",
        Stroke::Specks => "specks",
    }
}

/// Names of phases, above the drawing.
pub(crate) fn write_phase_names(html: &mut String, axis: &Axis) {
    if axis.phases.is_empty() {
        return;
    }
    html.push_str("<div class=\"phases\">");
    for phase in &axis.phases {
        let (from, to) = (axis.share(phase.from_s), axis.share(phase.to_s));
        if to - from >= NAMED {
            let place = format!("left:{}%;width:{}%", share(from), share(to - from));
            write_span(html, "", &place, &phase.name);
        }
    }
    html.push_str("</div>\n");
}

/// The shades of phases, behind everything.
pub(crate) fn write_phases(html: &mut String, axis: &Axis, height: f64) {
    for phase in &axis.phases {
        let (from, to) = (axis.share(phase.from_s), axis.share(phase.to_s));
        let class = if phase.stands_out { "out" } else { "calm" };
        let _ = writeln!(
            html,
            "<rect class=\"{class}\" x=\"{}\" y=\"0\" width=\"{}\" height=\"{height}\"/>",
            round(from * WIDTH),
            round((to - from) * WIDTH)
        );
    }
}

/// The labels of the time axis, below the drawing.
pub(crate) fn write_time(html: &mut String, axis: &Axis) {
    html.push_str("<div class=\"x\">");
    for (at, text) in scale::time(axis.length_s) {
        // At the ends there is no room on one side.
        let class = match at {
            at if at < 0.02 => " class=\"first\"",
            at if at > 0.95 => " class=\"last\"",
            _ => "",
        };
        write_span(html, class, &format!("left:{}%", share(at)), &text);
    }
    html.push_str("</div>\n");
}

fn write_span(html: &mut String, class: &str, place: &str, text: &str) {
    let _ = write!(
        html,
        "<span{class} style=\"{place}\">{}</span>",
        escape(text)
    );
}

fn write_bars(html: &mut String, chart: &Chart, scale: Scale, width_s: f64, series: &[Bars]) {
    let columns = series.iter().map(|one| one.values.len()).max().unwrap_or(0);
    for column in 0..columns {
        let from_s = column as f64 * width_s;
        let (from, to) = (chart.axis.share(from_s), chart.axis.share(from_s + width_s));
        let mut below = 0.0;
        let mut values = Vec::new();
        let mut rects = String::new();
        for bars in series {
            let value = bars.values.get(column).copied().unwrap_or(0.0);
            if value <= 0.0 {
                continue;
            }
            let (low, high) = (scale.height(below), scale.height(below + value));
            below += value;
            let (Some(low), Some(high)) = (low, high) else {
                continue;
            };
            values.push(format!("{} {}", bars.name, label(value, chart.unit)));
            let _ = write!(
                rects,
                "<rect class=\"t{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                bars.tint,
                round(from * WIDTH),
                round(HEIGHT * (1.0 - high)),
                // A little apart from the next, so that columns can be counted.
                round((to - from) * WIDTH * 0.92),
                round(HEIGHT * (high - low)),
            );
        }
        if values.is_empty() {
            continue;
        }
        let words = format!(
            "{from_s:.1} s to {:.1} s: {}",
            from_s + width_s,
            values.join(", ")
        );
        let _ = writeln!(
            html,
            "<g class=\"bars\"><title>{}</title>{rects}</g>",
            escape(&words)
        );
    }
}

fn write_line(html: &mut String, axis: &Axis, scale: Scale, line: &Line) {
    let apart = matches!(line.stroke, Stroke::Marks | Stroke::Specks);
    let mut path = String::new();
    let mut joined = false;
    let mut after_gap = true;
    for (at, (at_s, value)) in line.points.iter().enumerate() {
        let place = value.and_then(|value| scale.height(value));
        let Some(height) = place else {
            joined = false;
            after_gap = true;
            continue;
        };
        let (x, y) = (
            round(axis.share(*at_s) * WIDTH),
            round(HEIGHT * (1.0 - height)),
        );
        let joins = joined && !apart;
        let _ = write!(path, "{}{x} {y}", if joins { 'L' } else { 'M' });
        let next = line.points.get(at + 1);
        let alone = after_gap
            && next.is_none_or(|(_, next)| next.and_then(|next| scale.height(next)).is_none());
        if apart || alone {
            // A line without length has round ends: a dot.
            path.push_str("h0");
        }
        joined = true;
        after_gap = false;
    }
    if !path.is_empty() {
        let _ = writeln!(
            html,
            "<path class=\"line {} t{}\" d=\"{path}\"/>",
            class(line.stroke),
            line.tint
        );
    }
}

/// What all lines are at a moment, shown to who points at it.
fn write_hits(html: &mut String, chart: &Chart, series: &[Line]) {
    let mut moments: Vec<f64> = series
        .iter()
        .flat_map(|line| &line.points)
        .filter(|(_, value)| value.is_some())
        .map(|(at_s, _)| *at_s)
        .collect();
    moments.sort_by(f64::total_cmp);
    moments.dedup();
    let every = moments.len().div_ceil(MOST_HITS).max(1);
    let moments: Vec<f64> = moments.into_iter().step_by(every).collect();
    for (at, moment) in moments.iter().enumerate() {
        let until = moments.get(at + 1).copied().unwrap_or(chart.axis.length_s);
        let values: Vec<String> = series
            .iter()
            .filter_map(|line| {
                let points = line.points.iter();
                let inside = points.filter(|(at_s, _)| *at_s >= *moment && *at_s < until);
                let values = inside.filter_map(|(_, value)| *value);
                let largest = values.reduce(f64::max)?;
                Some(format!("{} {}", line.name, label(largest, chart.unit)))
            })
            .collect();
        if values.is_empty() {
            continue;
        }
        let from = chart.axis.share(*moment);
        let wide = (chart.axis.share(until) - from).max(HIT);
        let _ = writeln!(
            html,
            "<rect class=\"hit\" x=\"{}\" y=\"0\" width=\"{}\" height=\"{HEIGHT}\">\
             <title>{}</title></rect>",
            round(from * WIDTH),
            round(wide * WIDTH),
            escape(&format!("{moment:.1} s: {}", values.join(", ")))
        );
    }
}

/// To a hundredth: finer than a screen.
pub(crate) fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

pub(crate) fn share(share: f64) -> f64 {
    round(share * 100.0)
}
