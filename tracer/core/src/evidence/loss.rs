//! Signs that the network between primary and standby loses or corrupts something:
//! the only ones that a verdict on the network may rest on.

use std::fmt;
use std::net::SocketAddr;

use tracer_ebpf::RetransmitKind;

use crate::evidence::blocked::SampleInterval;
use crate::evidence::commit_stages::{FROM_STANDBY, StageSums, TO_STANDBY, rule_out};
use crate::evidence::links::{Link, Links, by_standby, end};
use crate::evidence::loss_direction::LossDirection;
use crate::evidence::loss_episode::{LOSSES, LossEpisode, episodes, of_flows};
use crate::evidence::loss_times::LossTimes;
use crate::evidence::silence::{Silence, silences};
use crate::evidence::standby_state::{has_to_flush, is_silent, of_all};
use crate::evidence::thresholds::{MAX_ECHO, MIN_LOST_SEGMENTS, NEARLY_ALL};
use crate::interval::Span;
use crate::recording::Recording;
use crate::recording::bad_checksums::{BadChecksumStep, ConnectionEnds};
use crate::recording::flow_history::FlowHistory;
use crate::report::finding::{Cause, Confidence, Size};
use crate::report::role::Kind;
use crate::report::sample::Standby;
use crate::report::stages::Stage;
use crate::text;

/// Segments that were lost, or had a bad checksum, in one direction between a primary and
/// one standby.
#[derive(Debug)]
pub(crate) struct LossSignal {
    pub(crate) cause: Cause,
    /// How many were retransmitted, or had a bad checksum.
    pub(crate) segments: u64,
    /// The standby's ends of its connections.
    ends: Vec<SocketAddr>,
    /// These connections, by their numbers.
    flows: Vec<usize>,
    /// When nothing at all arrived on each of them though several segments were retransmitted;
    /// empty of segments with a bad checksum, for these arrive.
    silences: Vec<Vec<Silence>>,
    episodes: Vec<LossEpisode>,
    /// When nothing at all arrived from the other side, whatever was retransmitted, or the
    /// kernel itself said that it was not done with the loss: what comes in between is
    /// the same trouble, however long it takes.
    unanswered: Vec<Span>,
    /// The flow that retransmitted most; `None` if they are segments with a bad checksum.
    pub(crate) flow: Option<usize>,
    /// How often that flow's timeout had doubled in a row, at most, and the largest one, ms;
    /// `None` if that may have been at another time.
    doubled: Option<(u32, f64)>,
    /// Whether that flow's socket showed that the loss was in the other direction.
    is_reversed: bool,
    /// Whether only the replication can have been hit.
    is_certain: bool,
    pub(crate) peer: FarEnd,
    /// The sign, as a clause.
    pub(crate) what: String,
    /// The same after [`because`](LossSignal::because).
    pub(crate) detail: String,
}

/// The other end of a replication's connection, as people read it.
#[derive(Debug, Clone)]
pub(crate) struct FarEnd {
    name: String,
    is_standby: bool,
}

impl FarEnd {
    pub(crate) fn of(flow: &FlowHistory) -> Self {
        Self {
            name: text::name(&flow.name),
            is_standby: flow.kind() != Kind::Walreceiver,
        }
    }

    /// How to call it where the standby has just been named.
    pub(crate) fn pronoun(&self) -> String {
        match self.is_standby {
            true => "it".to_owned(),
            false => self.to_string(),
        }
    }

    /// The standby of the two, as seen from here.
    pub(crate) fn standby(&self) -> String {
        match self.is_standby {
            true => self.to_string(),
            false => "this standby".to_owned(),
        }
    }
}

impl fmt::Display for FarEnd {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.is_standby {
            true => "standby",
            false => "primary",
        };
        write!(to, "{role} {}", self.name)
    }
}

impl LossSignal {
    /// Whether segments arrived with a bad checksum; they were lost otherwise.
    pub(crate) fn is_bad_checksums(&self) -> bool {
        self.flow.is_none()
    }

    /// Whether it was still going on at that time.
    pub(crate) fn is_at(&self, span: Span) -> bool {
        // They are in order.
        let next = self
            .episodes
            .partition_point(|one| one.extends_to_ns <= span.from_ns);
        let episode = self.episodes.get(next);
        episode.is_some_and(|one| one.observed.from_ns < span.to_ns)
            || span.covered_ns(&self.unanswered) > 0
    }

    /// Whether it was on the path of a standby that commits waited for at that time, and may
    /// be why they did.
    pub(crate) fn covers(&self, links: &Links<'_>, interval: &SampleInterval<'_>) -> bool {
        self.is_on_path(links, interval) && !rule_out(links.recorded, interval.span, self.stages())
    }

    /// Whether it was on the path of such a standby, whatever commits waited for.
    pub(super) fn is_on_path(&self, links: &Links<'_>, interval: &SampleInterval<'_>) -> bool {
        self.is_at(interval.span)
            && self.link(links, interval) != Link::Others
            && self.is_missing_something(links, interval)
            && !self.is_anothers(links, interval)
    }

    /// Of a commit's wait the stages that it makes longer.
    pub(crate) fn stages(&self) -> &'static [Stage] {
        match self.is_toward_standby() {
            true => TO_STANDBY,
            false => FROM_STANDBY,
        }
    }

    /// Whether this may be the echo of another one, of the same connection: of a loss in the other
    /// direction, which has a few, too; or of bad checksums, after which something is
    /// retransmitted.
    pub(super) fn may_echo(&self, other: &Self) -> bool {
        let is_other_way = self.is_toward_standby() != other.is_toward_standby();
        let is_other_sign = self.is_bad_checksums() != other.is_bad_checksums();
        (is_other_way || is_other_sign)
            && self.ends.iter().any(|end| other.ends.contains(end))
            && self.segments * MAX_ECHO < other.segments
    }

    /// Whose path it was on, as seen by who was waited for at that time.
    pub(crate) fn link(&self, links: &Links<'_>, interval: &SampleInterval<'_>) -> Link {
        let flows = self.flows.iter();
        let of = flows.map(|flow| links.of(*flow, interval.index));
        of.max().unwrap_or(Link::Others)
    }

    /// Who has written all that was sent to it has lost none of it: it waits for its own
    /// disk, or its replies are missing.
    fn is_missing_something(&self, links: &Links<'_>, interval: &SampleInterval<'_>) -> bool {
        let has_all = |one: &Standby| one.write_lag_bytes.is_some_and(|lag| lag <= 0);
        !self.is_toward_standby() || !of_all(links.awaited(interval.index), has_all)
    }

    /// Whether segments that may have been others' were: the standby's replies arrive, and say
    /// that it has to flush.
    fn is_anothers(&self, links: &Links<'_>, interval: &SampleInterval<'_>) -> bool {
        let awaited = links.awaited(interval.index);
        !self.is_certain && of_all(awaited, has_to_flush) && !is_silent(interval, awaited)
    }

    fn is_toward_standby(&self) -> bool {
        let causes = [Cause::LossTowardStandby, Cause::DamageTowardStandby];
        causes.contains(&self.cause)
    }

    /// Silences by connection.
    pub(super) fn silences(&self) -> impl Iterator<Item = (usize, &[Silence])> {
        let silences = self.silences.iter().map(Vec::as_slice);
        self.flows.iter().copied().zip(silences)
    }

    /// Takes in times in which it went on, too.
    pub(super) fn add_unanswered(&mut self, mut spans: Vec<Span>) {
        spans.append(&mut self.unanswered);
        self.unanswered = Span::apart(spans);
    }

    /// No more than this, where others than the replication may have been hit.
    pub(crate) fn at_most(&self, confidence: Confidence) -> Confidence {
        if self.is_certain {
            confidence
        } else {
            confidence.min(Confidence::Medium)
        }
    }

    /// What became of the segments, as a clause.
    pub(crate) fn because(&self) -> String {
        let segments = match (self.is_toward_standby(), self.peer.is_standby) {
            (true, true) => "segments to it".to_owned(),
            (true, false) => format!("segments from {}", self.peer),
            (false, true) => "its replies".to_owned(),
            (false, false) => format!("its replies to {}", self.peer),
        };
        match self.is_bad_checksums() {
            true => format!("{segments} were corrupted on the way"),
            false if self.is_reversed => format!("{segments} were lost"),
            false => format!("{segments}, or their acknowledgements, were lost"),
        }
    }

    /// What of a finding's size it knows.
    pub(crate) fn size(&self) -> Size {
        Size {
            segments: Some(self.segments),
            rto_doublings: self.doubled.map(|(doublings, _)| doublings),
            rto_max_ms: self.doubled.map(|(_, ms)| ms),
            ..Size::default()
        }
    }

    /// Where the report shows it.
    pub(crate) fn evidence(&self) -> Vec<String> {
        match self.flow {
            Some(index) => ["segments", "by_kind", "series", "rto_max_ms", "backoff_max"]
                .into_iter()
                .chain(self.is_reversed.then_some("path/series"))
                .map(|field| format!("/flows/{index}/{field}"))
                .collect(),
            None => ["selected", "series"]
                .map(|field| format!("/checksum_errors/{field}"))
                .to_vec(),
        }
    }
}

/// All that were seen at these times, most segments first.
pub(crate) fn signals(recorded: &Recording, times: &LossTimes) -> Vec<LossSignal> {
    let of = |role| by_standby(recorded, role);
    let (senders, receivers) = (of(Kind::Walsender), of(Kind::Walreceiver));
    let both = senders.iter().chain(&receivers);
    let mut found: Vec<LossSignal> = both
        .filter_map(|flows| retransmits(recorded, flows, times))
        .collect();
    // What arrives with a bad checksum was sent by the other end. Where both ends are seen,
    // it is not known at which of them.
    let (standbys, cause) = match (senders, receivers) {
        (standbys, none) if none.is_empty() => (standbys, Cause::DamageOfReplies),
        (none, standbys) if none.is_empty() => (standbys, Cause::DamageTowardStandby),
        _ => (Vec::new(), Cause::NotDetermined),
    };
    let standbys = standbys.into_iter();
    found.extend(standbys.filter_map(|flows| bad_checksums_from(recorded, flows, cause, times)));
    found.retain(|one| one.segments >= MIN_LOST_SEGMENTS);
    found.sort_by_key(|one| std::cmp::Reverse(one.segments));
    found
}

/// While the kernel had not recovered from a loss yet.
fn recovering(track: &FlowHistory) -> impl Iterator<Item = Span> {
    let runs = track.path.chunk_by(|a, b| a.recovering == b.recovering);
    let recovering = runs.filter(|run| run[0].recovering == Some(true));
    recovering.map(|run| Span {
        from_ns: run[0].at_ns,
        to_ns: run[run.len() - 1].at_ns,
    })
}

/// Of connections with one standby.
fn retransmits(recorded: &Recording, flows: &[usize], times: &LossTimes) -> Option<LossSignal> {
    let tracks = || {
        flows
            .iter()
            .filter_map(|one| Some((*one, recorded.flows.get(*one)?)))
    };
    let silences: Vec<Vec<Silence>> = tracks().map(|(_, track)| silences(track)).collect();
    let silent = silences.iter().flatten();
    let recovering = tracks().flat_map(|(_, track)| recovering(track));
    // Of all: the one that sent most may have been opened after it was over.
    let unanswered = Span::apart(silent.map(|one| one.span).chain(recovering).collect());
    let mut times = times.with(&unanswered);
    let mut episodes = of_flows(recorded, tracks().map(|(_, track)| track));
    episodes.retain(|one| times.overlap(one.whole()));
    let most = |times: &LossTimes| {
        let counted = tracks().map(|(flow, track)| (times.segments(track, &LOSSES), flow, track));
        counted.max_by_key(|(segments, ..)| *segments)
    };
    let (mut count, mut flow, mut track) = most(&times)?;
    // Samples that show nobody who waits may miss short waits for the same.
    if count < MIN_LOST_SEGMENTS {
        times = times.with_all_of(&episodes);
        (count, flow, track) = most(&times)?;
    }
    let times = &times;
    let stages = StageSums::during_all(recorded, times.spans().iter().copied());
    let acknowledged_late = stages.share(&[Stage::Acknowledged]) >= Some(NEARLY_ALL);
    let direction = LossDirection::of(track, times, &episodes, acknowledged_late);
    if matches!(direction, LossDirection::Nothing) {
        return None;
    }
    let reversed = direction.reversed_words();
    let peer = FarEnd::of(track);
    let cause = match (track.kind(), reversed.is_some()) {
        (Kind::Walsender, false) | (Kind::Walreceiver, true) => Cause::LossTowardStandby,
        _ => Cause::LossOfReplies,
    };
    let timeouts = times.segments(track, &[RetransmitKind::Rto]);
    let mut became = match timeouts {
        0 => "retransmitted, none of them after a timeout".to_owned(),
        some => format!("retransmitted, {some} of them after a timeout"),
    };
    // Of one loss or several that follow each other, but of no other.
    let of_these = times.with_all_of(&episodes);
    let of_run = LossTimes::whole(recorded.interval_ns());
    let in_both = [&of_these, &of_run].map(|all| all.segments(track, &[RetransmitKind::Rto]));
    let doubled = track.backoff_max.zip(track.rto_max_ms);
    let doubled = doubled.filter(|_| in_both[0] == in_both[1]);
    if let (1.., Some((doublings @ 1.., ms))) = (timeouts, doubled) {
        became += &format!(
            " (which {}, up to {:.1} s)",
            text::doubled(doublings),
            ms / 1e3
        );
    }
    if let Some(reversed) = &reversed {
        became += &format!(", {reversed}");
    }
    let segments = text::segments(count);
    let short = match reversed {
        None => count.to_string(),
        Some(_) => format!("{segments} to {}", peer.pronoun()),
    };
    let were = if count == 1 { "was" } else { "were" };
    Some(LossSignal {
        cause,
        segments: count,
        ends: tracks().map(|(_, track)| end(track)).collect(),
        episodes,
        unanswered,
        flows: flows.to_vec(),
        silences,
        flow: Some(flow),
        doubled,
        is_reversed: reversed.is_some(),
        is_certain: true,
        what: format!("{segments} to {peer} {were} {became}"),
        detail: format!("{short} {were} {became}"),
        peer,
    })
}

/// From the other end of these connections.
fn bad_checksums_from(
    recorded: &Recording,
    flows: Vec<usize>,
    cause: Cause,
    times: &LossTimes,
) -> Option<LossSignal> {
    let track = recorded.flows.get(*flows.first()?)?;
    let peer = track.remote.ip();
    let tracks = || flows.iter().filter_map(|flow| recorded.flows.get(*flow));
    let connections: Vec<ConnectionEnds> = tracks().map(FlowHistory::connection).collect();
    let steps: Vec<_> = recorded
        .bad_checksums
        .as_ref()?
        .iter()
        .filter(|step| step.of(peer, &connections) > 0)
        .collect();
    let seen: u64 = steps.iter().map(|step| step.of(peer, &connections)).sum();
    // Some may have been another namespace's: the kernel does not always show whose
    // a segment is that it refuses, but it counts it where it belongs.
    let refused = recorded.kernel_bad_checksums();
    let mut episodes = episodes(steps.iter().map(|step| step.at_ns), recorded.interval_ns());
    episodes.retain(|one| times.overlap(one.whole()));
    let seen_in = |times: &LossTimes| -> u64 {
        let inside = steps.iter().filter(|step| times.have(step.at_ns));
        inside.map(|step| step.of(peer, &connections)).sum()
    };
    let inside = match seen_in(times) {
        few if few < MIN_LOST_SEGMENTS => seen_in(&times.with_all_of(&episodes)),
        enough => enough,
    };
    let segments = refused.map_or(inside, |refused| inside.min(refused));
    let tells_peer =
        |step: &&BadChecksumStep| step.by_peer.is_some() || recorded.settings.hosts() == [peer];
    let tells_connection =
        |step: &&BadChecksumStep| step.by_connection.is_none() || step.of_unknown(peer) == 0;
    let is_certain = refused.is_some_and(|refused| refused >= seen)
        && steps.iter().all(tells_peer)
        && steps.iter().all(tells_connection);
    let from = FarEnd::of(track);
    let doubt = if is_certain { "" } else { " or other peers" };
    let discarded = "arrived with a bad checksum and were discarded";
    let count = text::segments(segments);
    Some(LossSignal {
        cause,
        segments,
        ends: tracks().map(end).collect(),
        flows,
        silences: Vec::new(),
        unanswered: Vec::new(),
        episodes,
        flow: None,
        doubled: None,
        is_reversed: false,
        is_certain,
        what: format!("{count} from {from}{doubt} {discarded}"),
        detail: match is_certain {
            true => format!("{count} {discarded}"),
            false => format!("{count} from {}{doubt} {discarded}", from.pronoun()),
        },
        peer: from,
    })
}
