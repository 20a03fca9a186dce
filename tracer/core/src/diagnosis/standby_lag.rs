//! What a standby says itself that it has not done yet.

use crate::evidence::Evidence;
use crate::evidence::rtt;
use crate::evidence::waiting::{Waiting, sample};
use crate::recording::standby::label;
use crate::report::finding::{Cause, Confidence, Finding, Size};
use crate::report::sample::Standby;
use crate::text;

/// What sets one kind of work apart from the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lag {
    /// Bytes that it still has to do.
    pub(super) missing: fn(&Standby) -> Option<i64>,
    pub(super) cause: Cause,
    /// What it was slow with.
    pub(super) what: &'static str,
    pub(super) left: &'static str,
    /// Of the standby's fields, those that show it.
    pub(super) fields: [&'static str; 2],
}

impl Lag {
    /// Of the standby that had most to do.
    pub(super) fn finding(&self, evidence: &Evidence<'_>, kept: &Waiting<'_>) -> Option<Finding> {
        let lags = kept.intervals.iter().flat_map(|interval| {
            // Of equals, the last is taken: of one sample, the first.
            let awaited = evidence.links.awaited(interval.index).standbys.iter().rev();
            awaited.filter_map(move |one| Some(((self.missing)(one)?, interval, *one)))
        });
        let (bytes, worst, standby) = lags.max_by_key(|(bytes, ..)| *bytes)?;
        let mut standbys = worst.sample.standbys.iter();
        let place = standbys.position(|one| one == standby)?;
        // Of two replies, the one that says that it was done may have been lost.
        let overtaken = kept.intervals.iter().filter(|interval| {
            let serves = |flow| evidence.links.serves(flow, interval.index);
            rtt::overtaken(evidence.recorded, interval.span, serves)
        });
        let may_be_lost = 2 * overtaken.count() >= kept.intervals.len();
        let (most, doubt) = match may_be_lost {
            true => (
                Confidence::Low,
                " Its replies arrived out of order meanwhile: some may have been lost, and it may have done more than they say.",
            ),
            false => (Confidence::High, ""),
        };
        Some(Finding {
            text: format!(
                "Commits waited for standby {}, which was slow to {}: up to {} were {}, {}.{doubt}",
                label::of(worst.sample, standby),
                self.what,
                text::bytes(bytes),
                self.left,
                kept.during()
            ),
            cause: self.cause,
            confidence: kept.confidence().min(most),
            size: Size {
                lag_bytes: Some(bytes),
                ..kept.size()
            },
            evidence: kept.evidence(
                self.fields
                    .map(|field| sample(worst.index, &format!("standbys/{place}/{field}"))),
            ),
        })
    }
}
