//! The intervals in which a flow retransmitted something, in a quarter of the room that they
//! would take: there may be a hundred thousand flows, and most of what could grow does not.

use tracer_ebpf::RetransmitKind;

use crate::recording::flow_interval::FlowInterval;

/// Of more than so many rows, two intervals become one: a run may last for months.
const MOST_ROWS: usize = 40_000;

/// One kind in one interval; the first of an interval has its calls and bytes, too.
#[derive(Debug, Clone, Copy)]
struct SeriesRow {
    at_ns: u64,
    segments: u32,
    events: u32,
    bytes: u32,
    kind: u8,
}

/// All of them, in order.
#[derive(Debug, Clone, Default)]
pub struct FlowSeries(Vec<SeriesRow>);

impl FlowSeries {
    /// Takes in what grew in the interval that comes next.
    pub fn push(&mut self, step: FlowInterval) {
        if self.0.len() > MOST_ROWS {
            self.halve();
        }
        let (mut events, mut bytes) = (step.events, step.bytes);
        let mut kinds = step.segments;
        // What is more than a row holds takes another one.
        let part = |rest: &mut u64| {
            let part = u32::try_from(*rest).unwrap_or(u32::MAX);
            *rest -= u64::from(part);
            part
        };
        loop {
            let kind = kinds.iter().position(|segments| *segments > 0);
            let kind = kind.unwrap_or(RetransmitKind::Other as usize);
            self.0.push(SeriesRow {
                at_ns: step.at_ns,
                segments: part(&mut kinds[kind]),
                events: part(&mut events),
                bytes: part(&mut bytes),
                kind: kind as u8,
            });
            if kinds.iter().all(|rest| *rest == 0) && events == 0 && bytes == 0 {
                return;
            }
        }
    }

    /// Interval by interval.
    pub fn iter(&self) -> FlowIntervals<'_> {
        FlowIntervals(&self.0)
    }

    /// The last of them.
    #[must_use]
    pub fn last(&self) -> Option<FlowInterval> {
        let at_ns = self.0.last()?.at_ns;
        let before = self.0.iter().rposition(|row| row.at_ns != at_ns);
        let from = before.map_or(0, |place| place + 1);
        FlowIntervals(self.0.get(from..).unwrap_or_default()).next()
    }

    /// Whether nothing was ever retransmitted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many intervals.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Takes in those of another flow, which may be of the same intervals: until it is settled,
    /// they are in no order.
    pub(crate) fn append(&mut self, more: &Self) {
        self.0.extend_from_slice(&more.0);
    }

    /// Puts them in order again, and makes one of those of one interval.
    pub(crate) fn settle(&mut self) {
        self.add_up();
        if self.0.len() > MOST_ROWS {
            self.halve();
        }
        self.0.shrink_to_fit();
    }

    fn add_up(&mut self) {
        self.0.sort_unstable_by_key(|row| (row.at_ns, row.kind));
        self.0.dedup_by(|next, row| {
            let is_same = (next.at_ns, next.kind) == (row.at_ns, row.kind);
            let sum = |one: u32, other: u32| one.checked_add(other).filter(|_| is_same);
            let sums = (
                sum(row.segments, next.segments),
                sum(row.events, next.events),
                sum(row.bytes, next.bytes),
            );
            let (Some(segments), Some(events), Some(bytes)) = sums else {
                // What is more than a row holds takes another one.
                return false;
            };
            (row.segments, row.events, row.bytes) = (segments, events, bytes);
            true
        });
    }

    /// How much room it takes.
    pub(super) fn rows(&self) -> usize {
        self.0.len()
    }

    /// Adds each second interval to the one after it, all but the last two.
    fn halve(&mut self) {
        let ends: Vec<u64> = self.iter().map(|step| step.at_ns).collect();
        let Some(pairs) = ends.len().checked_sub(2) else {
            return;
        };
        let mut place = 0;
        for row in &mut self.0 {
            while ends.get(place).is_some_and(|end| *end < row.at_ns) {
                place += 1;
            }
            if place.is_multiple_of(2) && place < pairs {
                row.at_ns = ends.get(place + 1).copied().unwrap_or(row.at_ns);
            }
        }
        self.add_up();
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Interval by interval.
#[derive(Debug, Clone)]
pub struct FlowIntervals<'a>(&'a [SeriesRow]);

impl Iterator for FlowIntervals<'_> {
    type Item = FlowInterval;

    fn next(&mut self) -> Option<FlowInterval> {
        let at_ns = self.0.first()?.at_ns;
        let mut step = FlowInterval {
            at_ns,
            ..FlowInterval::default()
        };
        while let Some((row, rest)) = self.0.split_first().filter(|(row, _)| row.at_ns == at_ns) {
            if let Some(segments) = step.segments.get_mut(usize::from(row.kind)) {
                *segments += u64::from(row.segments);
            }
            step.events += u64::from(row.events);
            step.bytes += u64::from(row.bytes);
            self.0 = rest;
        }
        Some(step)
    }
}

impl<'a> IntoIterator for &'a FlowSeries {
    type Item = FlowInterval;
    type IntoIter = FlowIntervals<'a>;

    fn into_iter(self) -> FlowIntervals<'a> {
        self.iter()
    }
}

impl Extend<FlowInterval> for FlowSeries {
    fn extend<I: IntoIterator<Item = FlowInterval>>(&mut self, steps: I) {
        steps.into_iter().for_each(|step| self.push(step));
    }
}

impl FromIterator<FlowInterval> for FlowSeries {
    fn from_iter<I: IntoIterator<Item = FlowInterval>>(steps: I) -> Self {
        let mut series = Self::default();
        series.extend(steps);
        series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_in_comes_out() {
        let step = |at_ns, segments: [u64; RetransmitKind::COUNT], events, bytes| FlowInterval {
            at_ns,
            segments,
            events,
            bytes,
        };
        let most = u64::from(u32::MAX);
        let steps = [
            step(1, [0, 3, 0, 0, 0, 0, 0, 0], 2, 300),
            // More than a row holds, of everything.
            step(2, [1, 0, 2, 0, 0, 0, 0, 3 * most], most + 7, 5 * most),
            step(3, [0; 8], 1, 0),
            step(4, [0, 0, 0, 0, 0, 9, 0, 0], 9, 0),
        ];
        let series: FlowSeries = steps.into_iter().collect();
        assert_eq!(series.iter().collect::<Vec<_>>(), steps);
        assert_eq!(series.last(), Some(steps[3]));
        assert_eq!(series.len(), 4);
        assert_eq!(FlowSeries::default().last(), None);
    }

    /// Two segments by a timer and one fast, in the interval that ends then.
    fn step(at_ns: u64) -> FlowInterval {
        let mut step = FlowInterval {
            at_ns,
            events: 3,
            bytes: 300,
            ..FlowInterval::default()
        };
        step.segments[RetransmitKind::Rto as usize] = 2;
        step.segments[RetransmitKind::Fast as usize] = 1;
        step
    }

    fn sum(series: &FlowSeries) -> FlowInterval {
        let mut all = FlowInterval::default();
        series.iter().for_each(|step| all.add(&step));
        all
    }

    #[test]
    fn those_of_several_flows_are_added_up_by_interval() {
        let mut all: FlowSeries = [step(1), step(3)].into_iter().collect();
        all.append(&[step(2), step(3), step(4)].into_iter().collect());
        let most = u64::from(u32::MAX);
        let large = |at_ns| FlowInterval {
            bytes: most - 1,
            ..step(at_ns)
        };
        all.append(&[large(3), large(4)].into_iter().collect());
        let before = sum(&all);
        all.settle();
        assert_eq!(sum(&all), before);
        let steps: Vec<_> = all.iter().map(|one| (one.at_ns, one.events)).collect();
        assert_eq!(steps, [(1, 3), (2, 3), (3, 9), (4, 6)]);
    }

    #[test]
    fn a_series_of_any_length_has_bounded_room_and_the_same_sum() {
        let mut series = FlowSeries::default();
        let many = 3 * MOST_ROWS as u64;
        (1..=many).for_each(|at_ns| series.push(step(at_ns)));
        assert!(series.rows() <= MOST_ROWS + 2, "{}", series.rows());
        assert_eq!(sum(&series).events, 3 * many);
        assert_eq!(sum(&series).bytes, 300 * many);
        assert_eq!(series.last(), Some(step(many)));
        let ends: Vec<_> = series.iter().map(|step| step.at_ns).collect();
        assert!(ends.is_sorted());
    }
}
