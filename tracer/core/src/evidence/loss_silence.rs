//! The silences that follow replies that were lost: what is lost again and again is
//! retransmitted by the standby alone, and each time after twice as long.

use crate::evidence::links::{Link, Links};
use crate::evidence::loss::LossSignal;
use crate::evidence::standby_wait::StandbyWait;
use crate::recording::loss_recovery::doubled_ns;
use crate::report::finding::Cause;

/// Takes them in. `waits` are what was to be seen without them.
pub(super) fn extend_over_silence(
    loss: &mut LossSignal,
    links: &Links<'_>,
    waits: &[StandbyWait<'_>],
) {
    if !matches!(loss.cause, Cause::LossOfReplies | Cause::DamageOfReplies) {
        return;
    }
    let mut extended = Vec::new();
    let (mut lost_ns, mut silent_ns, mut last_ns) = (0, 0, None);
    for wait in waits {
        let span = wait.interval.span;
        if last_ns != Some(span.from_ns) {
            (lost_ns, silent_ns) = (0, 0);
        }
        if loss.link(links, &wait.interval) == Link::Others {
            last_ns = None;
            continue;
        }
        last_ns = Some(span.to_ns);
        let length_ns = span.length_ns();
        if wait.is_out_of_order {
            extended.push(span);
            (lost_ns, silent_ns) = (lost_ns + length_ns, 0);
        } else if loss.is_at(span) {
            (lost_ns, silent_ns) = (lost_ns + length_ns, 0);
        } else if wait.is_without_reply && silent_ns + length_ns <= doubled_ns(lost_ns) {
            silent_ns += length_ns;
            extended.push(span);
        } else {
            (lost_ns, silent_ns) = (0, 0);
        }
    }
    loss.add_unanswered(extended);
}
