//! The intervals in which a flow retransmitted something, in a tenth of the room that they
//! would take: there may be a hundred thousand flows, and most of what could grow does not.

use std::collections::BTreeMap;

use tracer_ebpf::RetransmitKind;

use crate::recording::flow_interval::FlowInterval;
use crate::recording::varint;

/// Of more intervals than this, two become one: a run may last for months.
const MOST_INTERVALS: u32 = 20_000;

const _: () = assert!(RetransmitKind::COUNT <= u8::BITS as usize);

/// All of them, in order: of each, how much later than the one before it ends, which kinds
/// there were, how many of each, calls and bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlowSeries {
    bytes: Vec<u8>,
    /// When the one before the last ends.
    before_ns: u64,
    /// Where the last begins.
    last_from: u32,
    intervals: u32,
}

impl FlowSeries {
    /// Takes in what grew in the interval that comes next; what ends when the last one does,
    /// or before, grew in that one as well.
    pub fn push(&mut self, mut step: FlowInterval) {
        let last = self.last();
        if let Some(last) = last.filter(|last| last.at_ns >= step.at_ns) {
            step.add(&last);
            step.at_ns = last.at_ns;
            self.bytes.truncate(self.last_from as usize);
        } else {
            if self.intervals > MOST_INTERVALS {
                self.halve();
            }
            self.before_ns = last.map_or(0, |last| last.at_ns);
            self.last_from = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
            self.intervals += 1;
        }
        let kinds = step.segments.iter().enumerate();
        let kinds = kinds.filter(|(_, segments)| **segments > 0);
        let used = kinds.clone().fold(0, |used, (kind, _)| used | 1u8 << kind);
        varint::put(&mut self.bytes, step.at_ns - self.before_ns);
        self.bytes.push(used);
        let numbers = kinds.map(|(_, segments)| segments);
        for number in numbers.chain([&step.events, &step.bytes]) {
            varint::put(&mut self.bytes, *number);
        }
    }

    /// Takes in those of other flows, by when they end.
    pub(crate) fn merge(&mut self, more: BTreeMap<u64, FlowInterval>) {
        let is_later = self.last().is_none_or(|last| {
            more.first_key_value()
                .is_none_or(|(at_ns, _)| *at_ns >= last.at_ns)
        });
        if is_later {
            return self.extend(more.into_values());
        }
        let own = std::mem::take(self);
        let mut more = more.into_values().peekable();
        for step in &own {
            while let Some(earlier) = more.next_if(|other| other.at_ns <= step.at_ns) {
                self.push(earlier);
            }
            self.push(step);
        }
        self.extend(more);
    }

    /// Adds each second interval to the one after it, all but the last two.
    fn halve(&mut self) {
        let pairs = self.intervals.saturating_sub(2);
        let mut fewer = Self::default();
        let mut waiting: Option<FlowInterval> = None;
        for (place, mut step) in (0u32..).zip(&*self) {
            if let Some(before) = waiting.take() {
                step.add(&before);
            } else if place < pairs && place.is_multiple_of(2) {
                waiting = Some(step);
                continue;
            }
            fewer.push(step);
        }
        *self = fewer;
    }

    /// Interval by interval.
    pub fn iter(&self) -> FlowIntervals<'_> {
        FlowIntervals {
            rest: &self.bytes,
            at_ns: 0,
        }
    }

    /// The last of them.
    #[must_use]
    pub fn last(&self) -> Option<FlowInterval> {
        let rest = self.bytes.get(self.last_from as usize..)?;
        let at_ns = self.before_ns;
        FlowIntervals { rest, at_ns }.next()
    }

    /// Whether nothing was ever retransmitted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.intervals == 0
    }

    /// How many intervals.
    #[must_use]
    pub fn len(&self) -> usize {
        self.intervals as usize
    }
}

/// Interval by interval.
#[derive(Debug, Clone)]
pub struct FlowIntervals<'a> {
    rest: &'a [u8],
    /// When the last one ended.
    at_ns: u64,
}

impl Iterator for FlowIntervals<'_> {
    type Item = FlowInterval;

    fn next(&mut self) -> Option<FlowInterval> {
        if self.rest.is_empty() {
            return None;
        }
        self.at_ns += varint::take(&mut self.rest);
        let mut step = FlowInterval {
            at_ns: self.at_ns,
            ..FlowInterval::default()
        };
        let used = varint::take_byte(&mut self.rest);
        for (place, segments) in step.segments.iter_mut().enumerate() {
            if used & 1 << place != 0 {
                *segments = varint::take(&mut self.rest);
            }
        }
        step.events = varint::take(&mut self.rest);
        step.bytes = varint::take(&mut self.rest);
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
        let steps = [
            step(0, [0, 3, 0, 0, 0, 0, 0, 0], 2, 300),
            step(2, [1, 0, 2, 0, 0, 0, 0, u64::MAX], u64::MAX, 5),
            step(3, [0; 8], 1, 0),
            step(u64::MAX, [0, 0, 0, 0, 0, 9, 0, 0], 9, 0),
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

    fn events(series: &FlowSeries) -> Vec<(u64, u64)> {
        let steps = series.iter();
        steps.map(|step| (step.at_ns, step.events)).collect()
    }

    fn by_end(steps: &[FlowInterval]) -> BTreeMap<u64, FlowInterval> {
        steps.iter().map(|step| (step.at_ns, *step)).collect()
    }

    #[test]
    fn what_grew_in_one_interval_is_one() {
        let mut series: FlowSeries = [step(1), step(1), step(5), step(4)].into_iter().collect();
        assert_eq!(events(&series), [(1, 6), (5, 6)]);
        series.push(step(6));
        assert_eq!(series.last(), Some(step(6)));
        assert_eq!(series.len(), 3);
    }

    #[test]
    fn those_of_several_flows_are_added_up_by_interval() {
        let mut all: FlowSeries = [step(1), step(3)].into_iter().collect();
        all.merge(by_end(&[step(3), step(6)]));
        assert_eq!(events(&all), [(1, 3), (3, 6), (6, 3)]);
        all.merge(by_end(&[step(0), step(3), step(4), step(7)]));
        assert_eq!(
            events(&all),
            [(0, 3), (1, 3), (3, 9), (4, 3), (6, 3), (7, 3)]
        );
        let same = all.clone();
        all.merge(BTreeMap::new());
        assert_eq!(all, same);
    }

    #[test]
    fn a_series_of_any_length_has_bounded_room_and_the_same_sum() {
        let mut series = FlowSeries::default();
        let many = 5 * u64::from(MOST_INTERVALS);
        (1..=many).for_each(|at_ns| series.push(step(at_ns)));
        assert!(series.intervals <= MOST_INTERVALS + 2);
        assert_eq!(series.last(), Some(step(many)));
        let steps = events(&series);
        assert!(steps.is_sorted());
        let sum: u64 = steps.iter().map(|(_, events)| events).sum();
        assert_eq!(sum, 3 * many);
    }
}
