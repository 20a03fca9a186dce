//! In how many samples somebody was seen to wait for what: nothing more than they show.

use crate::evidence::blocked::SampleInterval;
use crate::report::sample::{Sample, Wait};

/// What may be seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct WaitEvent {
    /// Its type, where another one has the same event.
    pub(super) kind: Option<&'static str>,
    pub(super) name: &'static str,
    /// What it means, after "in 7 of 9 samples".
    pub(super) what: &'static str,
}

impl WaitEvent {
    fn is(&self, wait: &Wait) -> bool {
        // From 17 on, some are written `WalSync`.
        let same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
        same(&wait.event, self.name) && self.kind.is_none_or(|kind| same(&wait.kind, kind))
    }

    fn is_in(&self, sample: &Sample) -> bool {
        let mut waits = sample.waits.iter().flatten();
        waits.any(|wait| wait.backends > 0 && self.is(wait))
    }
}

/// A clause on those that were seen at all, most often seen first; [`None`] if none was.
pub(super) fn clause(intervals: &[SampleInterval<'_>], events: &[WaitEvent]) -> Option<String> {
    let seen = |event: &WaitEvent| {
        let samples = intervals.iter().filter(|one| event.is_in(one.sample));
        samples.count()
    };
    let mut counted: Vec<_> = events.iter().map(|one| (seen(one), one.what)).collect();
    counted.retain(|(count, _)| *count > 0);
    counted.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    let (first, rest) = counted.split_first()?;
    let all = intervals.len();
    let mut text = format!("in {} of {all} samples {}", first.0, first.1);
    for (count, what) in rest {
        text += &format!(", in {count} {what}");
    }
    Some(text)
}
