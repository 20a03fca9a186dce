//! Charts over the time of a run, all on one axis: what is drawn, not how.

pub mod scale;
pub mod series;

/// The time axis that all charts of a report share, and the phases on it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Axis {
    /// How long the run was, s.
    pub length_s: f64,
    /// Its phases; none if there is only one.
    pub phases: Vec<Shade>,
}

/// A phase, as it is shaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Shade {
    /// Its start, s.
    pub from_s: f64,
    /// Its end, s.
    pub to_s: f64,
    /// What to call it.
    pub name: String,
    /// Whether it is the one that stands out.
    pub stands_out: bool,
}

/// One chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it shows, with the unit.
    pub title: String,
    /// What to know about it.
    pub note: String,
    /// When.
    pub axis: Axis,
    /// In what its values are.
    pub unit: Unit,
    /// The values.
    pub plot: Plot,
}

/// What values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Milliseconds.
    Milliseconds,
    /// Bytes.
    Bytes,
}

/// How values are drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum Plot {
    /// Sums by interval, one sort on top of the other.
    Bars {
        /// Length of an interval, s.
        width_s: f64,
        /// Each has a value an interval.
        series: Vec<Bars>,
    },
    /// Values at moments.
    Lines {
        /// Whether by powers of ten: zero is then not shown.
        logarithmic: bool,
        /// Each by itself.
        series: Vec<Line>,
    },
}

/// One sort of what is summed up.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// What to call it.
    pub name: String,
    /// Which of the colours.
    pub tint: usize,
    /// A value an interval.
    pub values: Vec<f64>,
}

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What to call it.
    pub name: String,
    /// Which of the colours.
    pub tint: usize,
    /// How it is drawn.
    pub stroke: Stroke,
    /// Moments in order, s; `None` where nothing was measured.
    pub points: Vec<(f64, Option<f64>)>,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// Whole.
    Solid,
    /// In dashes.
    Dashed,
    /// In dots.
    Dotted,
    /// No line: a mark at each point.
    Marks,
    /// The same, smaller: to be seen on top of marks.
    Specks,
}

/// Stretches of time, one row below the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    /// What it shows.
    pub title: String,
    /// When.
    pub axis: Axis,
    /// The rows.
    pub rows: Vec<TimelineRow>,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct TimelineRow {
    /// What it is of.
    pub name: String,
    /// In order.
    pub spans: Vec<TimelineSpan>,
}

/// One stretch.
#[derive(Debug, Clone, PartialEq)]
pub struct TimelineSpan {
    /// Its start, s.
    pub from_s: f64,
    /// Its end, s.
    pub to_s: f64,
    /// What there was.
    pub text: String,
    /// Which of the colours.
    pub tint: usize,
}
