//! Waits that have nothing to do with a standby: what those for this server's disk and
//! those for locks have in common.

use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::Evidence;
use crate::evidence::blocked::{WaitKind, duration_s, most_waiters, waited_s};
use crate::evidence::thresholds::CLEAR_FACTOR;
use crate::evidence::waiting::{lasted, sample};
use crate::report::finding::{Cause, Confidence, Finding, Size};

/// Backends waited for this, if it lasted.
pub(super) fn own_waits(
    evidence: &Evidence<'_>,
    kind: WaitKind,
    cause: Cause,
    what: &str,
) -> Option<Ranked> {
    let blocked = evidence.blocked(kind);
    if !lasted(blocked) {
        return None;
    }
    let (index, waiters) = most_waiters(blocked.iter(), kind)?;
    let waited = waited_s(blocked.iter(), kind);
    let others = WaitKind::ALL.into_iter().filter(|other| *other != kind);
    let others: f64 = others
        .map(|other| waited_s(evidence.blocked(other).iter(), other))
        .sum();
    let duration = duration_s(blocked.iter());
    let finding = Finding {
        text: match waiters {
            1 => format!("One backend at a time waited {what}, over {duration:.1} s."),
            _ => format!("Up to {waiters} backends at once waited {what}, over {duration:.1} s."),
        },
        cause,
        confidence: if waited >= CLEAR_FACTOR * others {
            Confidence::High
        } else {
            Confidence::Medium
        },
        size: Size {
            duration_s: Some(duration),
            waited_s: Some(waited),
            waiters_max: Some(waiters),
            ..Size::default()
        },
        evidence: vec![sample(index, "waits")],
    };
    Some(Ranked::new(Rank::Waited(waited), finding))
}
