//! The times in which commits waited for a standby, and what each of them shows.

use std::ops::Range;

use crate::awaited::Level;
use crate::evidence::blocked::SampleInterval;
use crate::evidence::commit_stages::{FROM_STANDBY, StageSums, TO_STANDBY, rule_out};
use crate::evidence::cpu::StarvedServer;
use crate::evidence::links::Links;
use crate::evidence::loss::LossSignal;
use crate::evidence::rtt;
use crate::evidence::standby_state::{
    has_been_sent, has_to_apply, has_to_flush, is_silent, of_all, owes_a_reply,
};
use crate::evidence::thresholds::{MIN_DURATION_S, NEARLY_ALL};
use crate::interval::Span;
use crate::report::stages::Stage;

/// A sample interval in which commits were blocked by a standby.
#[derive(Debug)]
pub(crate) struct StandbyWait<'a> {
    pub(crate) interval: SampleInterval<'a>,
    /// Segments of the awaited standby's connection were retransmitted, and what was
    /// lost with them explains a wait.
    pub(crate) has_loss: bool,
    /// Segments of its connection had a bad checksum.
    pub(crate) has_bad_checksums: bool,
    /// Too few standbys stream, and not because of losses; or those that are back have
    /// not released anybody yet.
    pub(crate) is_gone: bool,
    /// A server on this host had no processor.
    pub(crate) is_starved: bool,
    /// A round trip took most of what a commit took.
    pub(crate) rtt_dominates: bool,
    /// It took a good part, and nothing else is to be seen.
    pub(crate) rtt_is_long: bool,
    /// Nothing was lost, and slow commits waited nearly all of their time for the standby's
    /// host to acknowledge what was in flight to it: that does the kernel there, whatever the
    /// standby does.
    pub(crate) is_unacknowledged: bool,
    /// The standby had WAL that it had not flushed.
    pub(crate) has_to_flush: bool,
    /// It had WAL on its disk that it had not replayed, and no more than that.
    pub(crate) has_to_apply: bool,
    /// The primary says that it sent, and nothing arrived on this, the standby's host.
    pub(crate) received_nothing: bool,
    /// The standby streamed, and did not reply for a second or longer; nothing else is to
    /// be seen.
    pub(crate) is_silent: bool,
    /// It did not reply, whatever it had to flush or to replay: of two replies, "written"
    /// may have come, and "flushed" been lost.
    pub(crate) is_without_reply: bool,
    /// It did reply, and what arrived was out of order: something before it was missing.
    pub(crate) is_out_of_order: bool,
}

impl StandbyWait<'_> {
    /// Whether it shows that segments were lost, in one direction or the other.
    pub(crate) fn is_lossy(&self) -> bool {
        self.has_loss || self.is_out_of_order || self.received_nothing
    }

    /// Something that comes before whatever the standby itself may be slow with.
    fn is_explained(&self) -> bool {
        self.has_loss
            || self.has_bad_checksums
            || self.is_gone
            || self.is_starved
            || self.rtt_dominates
            || self.is_unacknowledged
    }

    /// The standby itself is slow, or its replies are missing.
    fn is_of_standby(&self) -> bool {
        let has_work = self.has_to_flush || self.has_to_apply;
        !self.is_explained() && (has_work || self.is_silent)
    }
}

/// What each of these times shows, if that is what was lost.
pub(super) fn standby_waits<'a>(
    links: &Links<'_>,
    starved: &[StarvedServer<'_>],
    intervals: &[SampleInterval<'a>],
    losses: &[LossSignal],
) -> Vec<StandbyWait<'a>> {
    let mut waits: Vec<StandbyWait<'a>> = intervals
        .iter()
        .map(|interval| alone(links, starved, *interval, losses))
        .collect();
    drop_short_silences(links, &mut waits);
    for wait in &mut waits {
        let is_left = !wait.is_explained() && !wait.is_of_standby() && !wait.received_nothing;
        wait.rtt_is_long = wait.rtt_dominates || is_left && is_long(links, &wait.interval);
    }
    for run in unanswered_runs(links, &waits) {
        let run = &mut waits[run];
        let overtaken = is_overtaken(links, run);
        for wait in run {
            wait.is_without_reply = !overtaken;
            wait.is_out_of_order = overtaken;
        }
    }
    extend_over_release(links, &mut waits);
    waits
}

/// What an interval shows by itself.
fn alone<'a>(
    links: &Links<'_>,
    starved: &[StarvedServer<'_>],
    interval: SampleInterval<'a>,
    losses: &[LossSignal],
) -> StandbyWait<'a> {
    let awaited = links.awaited(interval.index);
    let level = awaited.level;
    let serves = |flow| links.serves(flow, interval.index);
    let mut covering = losses.iter().filter(|one| one.covers(links, &interval));
    let (has_loss, has_bad_checksums) = covering.by_ref().fold((false, false), |(a, b), one| {
        (a || !one.is_bad_checksums(), b || one.is_bad_checksums())
    });
    let is_lost = has_loss || has_bad_checksums;
    let stages = StageSums::during(links.recorded, interval.span);
    let may_be_standby = !stages.rule_out(FROM_STANDBY);
    let mut wait = StandbyWait {
        interval,
        has_loss,
        has_bad_checksums,
        is_gone: !is_lost && awaited.is_gone,
        is_starved: starved.iter().any(|one| one.is_at(interval.span)),
        // Of two replies on a long path, one comes well before the other.
        rtt_dominates: !stages.rule_out(TO_STANDBY)
            && rtt::dominates(links.recorded, interval.span, serves),
        rtt_is_long: false,
        is_unacknowledged: !is_lost
            && stages.share(&[Stage::Acknowledged]) >= Some(NEARLY_ALL)
            && rtt::is_in_flight(links.recorded, interval.span, serves),
        has_to_flush: may_be_standby
            && level != Some(Level::Write)
            && of_all(awaited, has_to_flush),
        has_to_apply: may_be_standby && of_all(awaited, |one| has_to_apply(one, level)),
        received_nothing: false,
        is_silent: false,
        is_without_reply: false,
        is_out_of_order: false,
    };
    let has_work = wait.has_to_flush || wait.has_to_apply;
    if may_be_standby && !wait.is_explained() && !has_work && is_silent(&interval, awaited) {
        let arrives = rtt::arrives(links.recorded, interval.span, serves);
        wait.received_nothing = arrives == Some(false) && of_all(awaited, has_been_sent);
        wait.is_silent = !wait.received_nothing;
    }
    wait
}

fn is_long(links: &Links<'_>, interval: &SampleInterval<'_>) -> bool {
    let serves = |flow| links.serves(flow, interval.index);
    !rule_out(links.recorded, interval.span, TO_STANDBY)
        && rtt::long(links.recorded, interval.span, serves).is_some()
}

/// Silence shorter than a second is none, nor is one that begins with nothing to reply to
/// and is over at the next sample: a standby replies when it has something to say.
fn drop_short_silences(links: &Links<'_>, waits: &mut [StandbyWait<'_>]) {
    for run in waits.chunk_by_mut(|a, b| a.is_silent && b.is_silent) {
        let owed = |index: usize| owes_a_reply(links.awaited(index - 1));
        let owes =
            |one: &StandbyWait<'_>| one.interval.before.is_some() && owed(one.interval.index);
        if longest_s(run) < MIN_DURATION_S || !run.iter().any(owes) {
            run.iter_mut().for_each(|one| one.is_silent = false);
        }
    }
}

/// Intervals without a break in which no reply came and nobody knows why, for as long as
/// makes a silence.
fn unanswered_runs(links: &Links<'_>, waits: &[StandbyWait<'_>]) -> Vec<Range<usize>> {
    let is_quiet = |one: &StandbyWait<'_>| one.is_of_standby() && is_without_reply(links, one);
    let mut found: Vec<Range<usize>> = Vec::new();
    for (index, wait) in waits.iter().enumerate().filter(|(_, one)| is_quiet(one)) {
        match found.last_mut() {
            Some(last)
                if last.end == index
                    && waits[index - 1].interval.span.to_ns == wait.interval.span.from_ns =>
            {
                last.end += 1;
            }
            _ => found.push(index..index + 1),
        }
    }
    found
}

/// Whether replies arrived out of order in a run that is long enough to be a silence.
fn is_overtaken(links: &Links<'_>, run: &[StandbyWait<'_>]) -> bool {
    let serves = |flow| {
        let mut samples = run.iter().map(|one| one.interval.index);
        samples.any(|sample| links.serves(flow, sample))
    };
    let spanned = Span {
        from_ns: run.first().map_or(0, |one| one.interval.span.from_ns),
        to_ns: run.last().map_or(0, |one| one.interval.span.to_ns),
    };
    longest_s(run) >= MIN_DURATION_S && rtt::overtaken(links.recorded, spanned, serves)
}

/// Nothing changes for those who wait when there are standbys enough again: only their next
/// reply makes the primary see whom it can release (`ProcessStandbyReplyMessage()` in
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/replication/walsender.c>),
/// and one that has everything already replies when its `wal_receiver_status_interval` is
/// over.
fn extend_over_release(links: &Links<'_>, waits: &mut [StandbyWait<'_>]) {
    for index in 1..waits.len() {
        let (before, wait) = (&waits[index - 1], &waits[index]);
        let follows = before.interval.span.to_ns == wait.interval.span.from_ns;
        let owes = || owes_a_reply(links.awaited(wait.interval.index));
        if before.is_gone && follows && is_without_reply(links, wait) && !owes() {
            waits[index].is_gone = true;
            waits[index].received_nothing = false;
            waits[index].is_out_of_order = false;
            waits[index].is_without_reply = false;
        }
    }
}

fn is_without_reply(links: &Links<'_>, wait: &StandbyWait<'_>) -> bool {
    is_silent(&wait.interval, links.awaited(wait.interval.index))
}

fn longest_s(waits: &[StandbyWait<'_>]) -> f64 {
    longest_unbroken_s(waits.iter().map(|one| one.interval.span))
}

/// The longest time without a break among these, which are in order, s.
pub(crate) fn longest_unbroken_s(spans: impl Iterator<Item = Span>) -> f64 {
    let (mut longest, mut current, mut last_ns): (f64, f64, _) = (0.0, 0.0, None);
    for span in spans {
        current = match last_ns == Some(span.from_ns) {
            true => current + span.seconds(),
            false => span.seconds(),
        };
        longest = longest.max(current);
        last_ns = Some(span.to_ns);
    }
    longest
}
