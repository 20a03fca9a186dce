//! Whether what was sent again was lost at all: or what came from the other side was, or
//! nothing.

use tracer_ebpf::Kind as Why;

use crate::evidence::loss_episode::{Recovery, lost};
use crate::evidence::rtt;
use crate::interval::Span;
use crate::recording::Track;

/// Where the peer had as much of what was sent again, it was not lost: what says that
/// it arrived was, and half of what says so the second time may be, too.
const HAD_THEM: f64 = 0.25;
/// What is overtaken by another once is no loss.
const LEAST_GAPS: usize = 2;

/// Nearly all that was sent again.
const ALL: f64 = 0.8;
/// When round trips get longer at once, so many are sent again before the kernel has
/// learnt it: its timers follow each measurement by an eighth.
const AT_MOST_EARLY: u64 = 4;
/// What the peer had of what was sent again because acknowledgements showed a gap was not
/// lost: others had overtaken it. What was lost as well is among the rest.
const OVERTAKEN: f64 = 0.5;
/// Half of the least timeout (`TCP_RTO_MIN`). Where acknowledgements are lost, round trips
/// that timed out are among others that did not; these keep the mean below.
const LATE_MS: f64 = 100.0;

/// What tells that it was not what was sent again that was lost, but what came from the
/// other side.
pub(crate) enum Turned {
    /// It had so many of them.
    HadThem(u64),
    /// What it sent itself had gaps.
    Gaps(usize),
}

impl Turned {
    /// What it says of what was sent again.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::HadThem(in_vain) => format!(
                "of at least {in_vain} of these it said that it had them already: what acknowledges them was lost"
            ),
            Self::Gaps(looks) => format!(
                "and at {looks} looks what came from there had gaps: that was lost, and what acknowledges these with it"
            ),
        }
    }
}

/// Nothing does where it is what was sent again that was lost.
pub(crate) fn turned(track: &Track<'_>, segments: u64, recoveries: &[Recovery]) -> Option<Turned> {
    let (in_vain, gaps) = (in_vain(track), gaps(track, recoveries));
    let looks = track.series.iter().filter(|step| lost(step) > 0).count();
    if in_vain as f64 >= HAD_THEM * segments as f64 {
        Some(Turned::HadThem(in_vain))
    } else if gaps >= looks.max(LEAST_GAPS) {
        Some(Turned::Gaps(gaps))
    } else {
        None
    }
}

/// Whether the kernel only asked whether what it had sent was lost.
fn only_probes(track: &Track<'_>) -> bool {
    of_kind(track, Why::Tlp) == track.series.iter().map(lost).sum::<u64>()
}

fn of_kind(track: &Track<'_>, kind: Why) -> u64 {
    let steps = track.series.iter();
    steps.map(|step| step.segments[kind as usize]).sum()
}

/// How many of what was sent again the peer had already, as it said itself.
fn in_vain(track: &Track<'_>) -> u64 {
    let mut told = track.path.iter().filter_map(|one| one.dsack_dups);
    let first = told.next().unwrap_or(0);
    u64::from(told.next_back().unwrap_or(first).saturating_sub(first))
}

/// At how many looks of these times something had arrived while what was sent before it
/// was missing. One that is lost may be missed by many, so that these do not count.
fn gaps(track: &Track<'_>, recoveries: &[Recovery]) -> usize {
    let pairs = track.path.windows(2);
    let grown = pairs.filter(|two| two[1].rcv_ooopack > two[0].rcv_ooopack);
    let within = |at_ns| {
        let mut recoveries = recoveries.iter();
        recoveries.any(|one| one.seen.from_ns < at_ns && at_ns <= one.until_ns)
    };
    grown.filter(|two| within(two[1].at_ns)).count()
}

/// Whether all of it was sent again too early: what acknowledges it took longer than
/// ever before, and came; or what was sent later had overtaken it, so that acknowledgements
/// showed a gap
/// ([RFC 8985, section 6.2](https://www.rfc-editor.org/rfc/rfc8985#section-6.2)).
pub(crate) fn were_early(track: &Track<'_>, segments: u64, recoveries: &[Recovery]) -> bool {
    let gaps_shown: u64 = [Why::Fast, Why::Rack]
        .into_iter()
        .map(|kind| of_kind(track, kind))
        .sum();
    // Without an acknowledgement, none shows a gap: where these are lost, timers send again.
    if gaps_shown as f64 >= ALL * segments as f64
        && in_vain(track) as f64 >= OVERTAKEN * segments as f64
    {
        return true;
    }
    if (in_vain(track) as f64) < ALL * segments as f64 {
        return false;
    }
    // Where something gets lost, the answer to a probe does now and then, too, and so
    // does what comes beside it. Without either, a busy host took its time to answer.
    if only_probes(track) && gaps(track, recoveries) == 0 {
        return true;
    }
    let begun_ns = track.series.iter().find(|step| lost(step) > 0);
    let after = Span {
        from_ns: begun_ns.map_or(0, |step| step.at_ns),
        to_ns: u64::MAX,
    };
    let longer_ms = rtt::within_ms(track, after).zip(rtt::best_ms(track));
    segments <= AT_MOST_EARLY || longer_ms.is_some_and(|(now, best)| now >= best + LATE_MS)
}
