//! The standby is connected and does not reply, and nothing shows that the network is why.

use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::Evidence;
use crate::evidence::blocked::SampleInterval;
use crate::evidence::standby_wait::longest_unbroken_s;
use crate::evidence::thresholds::SURELY_SILENT_S;
use crate::evidence::waiting::{Waiting, sample};
use crate::recording::standby::label;
use crate::report::finding::{Cause, Confidence, Finding, Size};
use crate::text;

/// A silence lasted by itself: it need not be in several samples.
pub(super) fn finding(evidence: &Evidence<'_>, kept: &Waiting<'_>) -> Option<Ranked> {
    if !kept.is_much() {
        return None;
    }
    let silent_s = longest_unbroken_s(kept.intervals.iter().map(|one| one.span));
    let awaited = |one: &SampleInterval<'_>| evidence.links.awaited(one.index).standbys.iter();
    let oldest = |one: &&SampleInterval<'_>| {
        let ages = awaited(one).filter_map(|one| one.reply_age_ms);
        ages.fold(0.0, f64::max)
    };
    let intervals = kept.intervals.iter();
    let worst = intervals.max_by(|a, b| oldest(a).total_cmp(&oldest(b)))?;
    let standby = *awaited(worst).next()?;
    let mut standbys = worst.sample.standbys.iter();
    let place = standbys.position(|one| one == standby)?;
    let surely = kept.confidence();
    let (network, confidence) = match evidence.retransmitted(&kept.intervals) {
        Some(0) if silent_s >= SURELY_SILENT_S => (
            "nothing was retransmitted meanwhile, so it is not the network".to_owned(),
            surely,
        ),
        Some(0) => (
            "nothing was retransmitted from here meanwhile".to_owned(),
            surely.min(Confidence::Medium),
        ),
        Some(segments) => (
            format!(
                "{} retransmitted meanwhile, too few to explain it",
                text::segments_were(segments)
            ),
            surely.min(Confidence::Medium),
        ),
        None => (
            "whether anything was lost on the way to it was not seen, so the network is not excluded".to_owned(),
            Confidence::Low,
        ),
    };
    let mut shown = kept.evidence([
        sample(worst.index, &format!("standbys/{place}/reply_age_ms")),
        sample(worst.index, &format!("standbys/{place}/state")),
    ]);
    shown.extend(evidence.replication(&kept.intervals));
    let finding = Finding {
        text: format!(
            "Commits waited for standby {}, which is connected and did not reply for {silent_s:.1} s, {}; {network}.",
            label::of(worst.sample, standby),
            kept.during()
        ),
        cause: Cause::StandbyNotReplying,
        confidence,
        size: Size {
            silent_s: Some(silent_s),
            ..kept.size()
        },
        evidence: shown,
    };
    Some(Ranked::new(Rank::Waited(kept.waited_s), finding))
}
