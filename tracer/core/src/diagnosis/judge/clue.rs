//! Signs that the network between primary and standby loses or damages something:
//! the only ones that a verdict on the network may rest on.

use std::net::IpAddr;

use tracer_ebpf::Kind as Why;

use crate::diagnosis::judge::cut::LEAST_IN_VAIN;
use crate::diagnosis::judge::turned::{Turned, turned, were_early};
use crate::diagnosis::judge::{Case, Weighed};
use crate::evidence::blocked::Slice;
use crate::evidence::links::{Link, awaited, by_standby, end};
use crate::evidence::loss_episode::{Recovery, lost, of_flows, recoveries};
use crate::evidence::silence::silences;
use crate::interval::Span;
use crate::recording::loss_recovery::doubled_ns;
use crate::recording::roles::Kind;
use crate::recording::{Recorded, Track};
use crate::report::finding::{Cause, Confidence, Finding, Size};
use crate::report::sample::Standby;
use crate::text;

/// A single segment gets lost now and then everywhere.
const LEAST_SEGMENTS: u64 = 3;

/// Signs of one cause.
pub(crate) struct Clue {
    pub(crate) cause: Cause,
    pub(crate) segments: u64,
    /// The address of the standby that it is of.
    standby: IpAddr,
    /// The connections with it, by their numbers.
    pub(crate) flows: Vec<usize>,
    recoveries: Vec<Recovery>,
    /// When nothing at all arrived from the other side, whatever was sent again, or the
    /// kernel itself said that it was not done with the loss: what comes in between is
    /// the same trouble, however long it takes.
    unanswered: Vec<Span>,
    /// The flow that resent most; `None` if they are segments that arrived damaged.
    pub(crate) flow: Option<usize>,
    /// Whether that flow's socket told that the loss was on the way here.
    turned: bool,
    /// Whether only the replication can have been hit.
    certain: bool,
    what: String,
}

impl Clue {
    /// Whether it was still going on at that time.
    pub(crate) fn is_at(&self, span: Span) -> bool {
        // They are in order.
        let next = self
            .recoveries
            .partition_point(|one| one.until_ns <= span.from_ns);
        let recovery = self.recoveries.get(next);
        recovery.is_some_and(|one| one.seen.from_ns < span.to_ns)
            || span.covered_ns(&self.unanswered) > 0
    }

    /// Whether it was on the way of a standby that commits waited for at that time, and may
    /// be why they did.
    pub(crate) fn covers(&self, case: &Case<'_>, slice: &Slice<'_>) -> bool {
        self.is_at(slice.span)
            && self.link(case, slice) != Link::Others
            && self.is_missing_something(slice)
    }

    /// Whether both are of the same standby.
    pub(crate) fn is_akin(&self, other: &Self) -> bool {
        self.standby == other.standby
    }

    /// Whose way it was on, as seen by who was waited for at that time.
    pub(crate) fn link(&self, case: &Case<'_>, slice: &Slice<'_>) -> Link {
        let links = self.flows.iter().map(|flow| case.link(*flow, slice));
        links.max().unwrap_or(Link::Others)
    }

    /// Who has written all that was sent to it has lost none of it: it waits for its own
    /// disk, or its replies are missing.
    fn is_missing_something(&self, slice: &Slice<'_>) -> bool {
        let has_all = |one: &Standby| one.write_lag_bytes.is_some_and(|lag| lag <= 0);
        match self.cause {
            Cause::LossTowardStandby | Cause::DamageTowardStandby => {
                let awaited = awaited(slice.sample);
                awaited.is_empty() || !awaited.into_iter().all(has_all)
            }
            _ => true,
        }
    }

    /// Takes in the silences that follow replies that were lost: what is lost again and
    /// again is sent again by the standby alone, and each time after twice as long.
    /// `silent` are times without a reply among those in which somebody was held up, and
    /// `unread` those of them that are surely of this kind, however long they are.
    pub(crate) fn follow(
        &mut self,
        case: &Case<'_>,
        held: &[Slice<'_>],
        silent: impl Fn(usize) -> bool,
        unread: impl Fn(usize) -> bool,
    ) {
        if !matches!(self.cause, Cause::LossOfReplies | Cause::DamageOfReplies) {
            return;
        }
        let mut followed = Vec::new();
        let (mut lost_ns, mut silent_ns, mut last_ns) = (0, 0, None);
        for (index, slice) in held.iter().enumerate() {
            let length_ns = slice.span.length_ns();
            if last_ns != Some(slice.span.from_ns) {
                (lost_ns, silent_ns) = (0, 0);
            }
            if self.link(case, slice) == Link::Others {
                last_ns = None;
                continue;
            }
            last_ns = Some(slice.span.to_ns);
            if unread(index) {
                followed.push(slice.span);
                (lost_ns, silent_ns) = (lost_ns + length_ns, 0);
            } else if self.is_at(slice.span) {
                (lost_ns, silent_ns) = (lost_ns + length_ns, 0);
            } else if silent(index) && silent_ns + length_ns <= doubled_ns(lost_ns) {
                silent_ns += length_ns;
                followed.push(slice.span);
            } else {
                (lost_ns, silent_ns) = (0, 0);
            }
        }
        followed.append(&mut self.unanswered);
        self.unanswered = Span::apart(followed);
    }

    pub(crate) fn most(&self, confidence: Confidence) -> Confidence {
        if self.certain {
            confidence
        } else {
            confidence.min(Confidence::Medium)
        }
    }

    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    pub(crate) fn size(&self, recorded: &Recorded<'_>) -> Size {
        let track = self.flow.and_then(|index| recorded.flows.get(index));
        Size {
            segments: Some(self.segments),
            rto_doublings: track.and_then(|track| track.backoff_max),
            rto_max_ms: track.and_then(|track| track.rto_max_ms),
            ..Size::default()
        }
    }

    pub(crate) fn evidence(&self) -> Vec<String> {
        match self.flow {
            Some(index) => ["segments", "by_kind", "series", "rto_max_ms", "backoff_max"]
                .into_iter()
                .chain(self.turned.then_some("path/series"))
                .map(|field| format!("/flows/{index}/{field}"))
                .collect(),
            None => ["selected", "series"]
                .map(|field| format!("/checksum_errors/{field}"))
                .to_vec(),
        }
    }
}

/// All of them, most segments first.
pub(crate) fn clues(recorded: &Recorded<'_>) -> Vec<Clue> {
    let roles = [Kind::Walsender, Kind::Walreceiver];
    let mut found: Vec<Clue> = roles
        .into_iter()
        .flat_map(|role| by_standby(recorded, role))
        .filter_map(|flows| retransmits(recorded, flows))
        .collect();
    found.extend(damage(recorded));
    found.retain(|clue| clue.segments >= LEAST_SEGMENTS);
    found.sort_by_key(|clue| std::cmp::Reverse(clue.segments));
    found
}

fn segments(track: &Track<'_>) -> u64 {
    track.series.iter().map(lost).sum()
}

fn unanswered(track: &Track<'_>) -> Vec<Span> {
    let silent = silences(track, LEAST_IN_VAIN)
        .into_iter()
        .map(|silence| silence.span);
    let looks = track.path.chunk_by(|a, b| a.recovering == b.recovering);
    let recovering = looks.filter(|looks| looks[0].recovering == Some(true));
    let recovering = recovering.map(|looks| Span {
        from_ns: looks[0].at_ns,
        to_ns: looks[looks.len() - 1].at_ns,
    });
    silent.chain(recovering).collect()
}

/// Of connections with one standby.
fn retransmits(recorded: &Recorded<'_>, flows: Vec<usize>) -> Option<Clue> {
    let tracks = || {
        flows
            .iter()
            .filter_map(|one| Some((*one, recorded.flows.get(*one)?)))
    };
    let (flow, track) = tracks().max_by_key(|(_, track)| segments(track))?;
    let role = track.role;
    let steps = track.series.iter();
    let timeouts: u64 = steps.map(|step| step.segments[Why::Rto as usize]).sum();
    let count = segments(track);
    let recoveries = of_flows(recorded, tracks().map(|(_, track)| track));
    if were_early(track, count, &recoveries) {
        return None;
    }
    let turned = turned(track, count, &recoveries);
    let name = text::name(&track.name);
    let (cause, of) = match (role, turned.is_some()) {
        (Kind::Walsender, false) => (Cause::LossTowardStandby, "of the replication to"),
        (Kind::Walsender, true) => (Cause::LossOfReplies, "of the replication to"),
        (_, false) => (Cause::LossOfReplies, "of this standby's replies to"),
        (_, true) => (Cause::LossTowardStandby, "of this standby's replies to"),
    };
    let which = turned.as_ref().map_or_else(
        || "they were lost, or now and then what acknowledges them".to_owned(),
        Turned::words,
    );
    let mut what = format!(
        "{count} segments {of} {name} were sent again, {timeouts} of them after a timeout: {which}"
    );
    if let (Some(doublings @ 1..), Some(ms)) = (track.backoff_max, track.rto_max_ms) {
        what += &format!(
            "; the timeout doubled {doublings} times in a row, up to {:.1} s",
            ms / 1e3
        );
    }
    Some(Clue {
        cause,
        segments: count,
        standby: end(track).ip(),
        recoveries,
        // Of all: the one that sent most may have been opened after it was over.
        unanswered: Span::apart(tracks().flat_map(|(_, track)| unanswered(track)).collect()),
        flows,
        flow: Some(flow),
        turned: turned.is_some(),
        certain: true,
        what,
    })
}

/// What arrives with a bad checksum was sent by the other end. Where both ends are seen, it
/// is not known at which of them.
fn damage(recorded: &Recorded<'_>) -> Vec<Clue> {
    let of = |role| by_standby(recorded, role);
    let (standbys, cause) = match (of(Kind::Walsender), of(Kind::Walreceiver)) {
        (standbys, none) if none.is_empty() => (standbys, Cause::DamageOfReplies),
        (none, standbys) if none.is_empty() => (standbys, Cause::DamageTowardStandby),
        _ => return Vec::new(),
    };
    let clues = standbys.into_iter();
    let clues = clues.filter_map(|flows| damaged_by(recorded, flows, cause));
    clues.collect()
}

/// From the other end of these connections.
fn damaged_by(recorded: &Recorded<'_>, flows: Vec<usize>, cause: Cause) -> Option<Clue> {
    let track = recorded.flows.get(*flows.first()?)?;
    let peer = track.remote.ip();
    let steps: Vec<_> = recorded
        .damaged?
        .iter()
        .filter(|step| step.may_be_from(peer))
        .collect();
    let seen: u64 = steps.iter().map(|step| step.from(peer)).sum();
    // Some may have been another namespace's: the kernel does not always show whose
    // a segment is that it refuses, but it counts it where it belongs.
    let segments = recorded.refused.map_or(seen, |refused| seen.min(refused));
    let certain = recorded.refused.is_some_and(|refused| refused >= seen)
        && (steps.iter().all(|step| step.by_peer.is_some()) || recorded.peers == [peer]);
    let name = text::name(&track.name);
    let from = match cause {
        Cause::DamageOfReplies => format!("the standby {name}"),
        _ => format!("the primary {name}"),
    };
    let doubt = if certain { "" } else { " or other peers" };
    Some(Clue {
        cause,
        segments,
        standby: end(track).ip(),
        flows,
        unanswered: Vec::new(),
        recoveries: recoveries(steps.iter().map(|step| step.at_ns), recorded.interval_ns),
        flow: None,
        turned: false,
        certain,
        what: format!(
            "{segments} segments from {from}{doubt} arrived with a wrong checksum and were refused"
        ),
    })
}

/// Where nobody can tell who waited: what was seen, and no more.
pub(crate) fn alone(case: &Case<'_>) -> Option<Weighed> {
    let clue = clues(case.recorded).into_iter().next()?;
    let finding = Finding {
        text: format!(
            "{}; whether commits waited for it is not known: no PostgreSQL server showed who waits.",
            clue.what()
        ),
        cause: clue.cause,
        confidence: Confidence::Low,
        size: clue.size(case.recorded),
        evidence: clue.evidence(),
    };
    Some((0.0, finding))
}
