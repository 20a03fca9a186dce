//! Charts over the time of a run, all on one axis: what is drawn, not how.

pub(crate) mod scale;
pub(crate) mod series;

/// The time axis that all charts of a report share, and the phases on it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Axis {
    pub(crate) length_s: f64,
    /// None if there is only one.
    pub(crate) phases: Vec<Shade>,
}

impl Axis {
    /// How far along the axis a moment is, from 0 to 1.
    pub(crate) fn share(&self, at_s: f64) -> f64 {
        let share = at_s / self.length_s;
        if share.is_finite() {
            share.clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

/// A phase, as it is shaded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shade {
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    pub(crate) name: String,
    /// Whether it is the one that stands out.
    pub(crate) stands_out: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    /// What it shows, with the unit.
    pub(crate) title: String,
    /// What to know about it.
    pub(crate) note: String,
    pub(crate) axis: Axis,
    pub(crate) unit: Unit,
    pub(crate) plot: Plot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Count,
    Milliseconds,
    Bytes,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plot {
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
        series: Vec<Line>,
    },
}

/// One sort of what is summed up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bars {
    pub(crate) name: String,
    pub(crate) tint: usize,
    /// A value an interval.
    pub(crate) values: Vec<f64>,
}

/// Moments in order, s, and values; `None` where nothing was measured.
pub(crate) type Points = Vec<(f64, Option<f64>)>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) tint: usize,
    pub(crate) stroke: Stroke,
    pub(crate) points: Points,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stroke {
    Solid,
    Dashed,
    Dotted,
    /// No line: a mark at each point.
    Marks,
    /// The same, smaller: to be seen on top of marks.
    Specks,
}

/// Stretches of time, one row below the other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Timeline {
    pub(crate) title: String,
    pub(crate) axis: Axis,
    pub(crate) rows: Vec<TimelineRow>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TimelineRow {
    pub(crate) name: String,
    /// In order.
    pub(crate) spans: Vec<TimelineSpan>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TimelineSpan {
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    /// What there was.
    pub(crate) text: String,
    pub(crate) tint: usize,
}
