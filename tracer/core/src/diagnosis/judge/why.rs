//! Why backends were held up by a standby, sample by sample.

use std::ops::Range;

use crate::awaited::Level;
use crate::diagnosis::judge::clue::Clue;
use crate::diagnosis::judge::{Case, LEAST_S};
use crate::evidence::blocked::Slice;
use crate::evidence::links::{awaited, is_gone, level};
use crate::evidence::rtt;
use crate::interval::Span;
use crate::report::sample::{Sample, Standby};

/// Without a reply, the last one grows older as time goes by, or nearly so.
const SILENT: f64 = 0.8;
/// A standby that waits only for its own to be applied has the rest, or nearly so.
const NEARLY: i64 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// No standby streams.
    Gone,
    /// Something is lost or damaged.
    Network,
    /// A server on this host has no processor.
    Starved,
    /// The standby has it, and not on its disk.
    Flush,
    /// It has it on its disk, and has not applied it.
    Apply,
    /// The primary says that it sent, and on the standby's host nothing arrives.
    Unheard,
    /// It streams, and does not reply for long.
    Silent,
    /// It replies, and what arrives cannot be read: something before it is missing.
    Unread,
    /// A round trip takes as long.
    Far,
    /// None of these.
    Rest,
}

/// Of those in which somebody was held up. Silence shorter than a second is none, nor is
/// one that begins with nothing to reply to and is over at the next look: a standby replies
/// when it has something to say.
pub(crate) fn whys(case: &Case<'_>, held: &[Slice<'_>], clues: &[Clue]) -> Vec<Why> {
    let mut whys: Vec<Why> = held
        .iter()
        .map(|slice| why(case, slice, clues, true))
        .collect();
    let mut from = 0;
    while from < whys.len() {
        let run = whys[from..].iter().take_while(|why| **why == whys[from]);
        let to = from + run.count();
        let run = &held[from..to];
        let owed = || {
            run.iter()
                .any(|slice| slice.before.is_some_and(owes_a_reply))
        };
        if whys[from] == Why::Silent && (longest_silence(run) < LEAST_S || !owed()) {
            for (slice, why_now) in run.iter().zip(&mut whys[from..to]) {
                *why_now = why(case, slice, clues, false);
            }
        }
        from = to;
    }
    for quiet in quiet(held, &whys) {
        let slices = &held[quiet.clone()];
        let serves = |flow| slices.iter().any(|slice| case.serves(flow, slice));
        if rtt::overtaken(case.recorded, spanned(slices), serves) {
            whys[quiet].fill(Why::Unread);
        }
    }
    for index in 1..held.len() {
        if whys[index - 1] == Why::Gone && is_unreleased(&held[index - 1], &held[index]) {
            whys[index] = Why::Gone;
        }
    }
    whys
}

/// Whether nothing has changed for those who wait, though there are standbys enough again:
/// only their next reply makes the primary look at whom it can release
/// (`ProcessStandbyReplyMessage()` in
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/replication/walsender.c>),
/// and one that has everything already replies when its `wal_receiver_status_interval` is
/// over.
fn is_unreleased(before: &Slice<'_>, slice: &Slice<'_>) -> bool {
    before.span.to_ns == slice.span.from_ns && is_silent(slice) && !owes_a_reply(slice.sample)
}

/// Slices without a break in which no reply came, nobody knows why, for as long as makes a
/// silence: of two replies, "written" may have come, and "flushed" been lost.
fn quiet(held: &[Slice<'_>], whys: &[Why]) -> Vec<Range<usize>> {
    let by_itself = |why| matches!(why, Why::Silent | Why::Flush | Why::Apply);
    let is_quiet = |index: usize| by_itself(whys[index]) && is_silent(&held[index]);
    let mut found: Vec<Range<usize>> = Vec::new();
    for index in (0..held.len()).filter(|index| is_quiet(*index)) {
        match found.last_mut() {
            Some(last)
                if last.end == index && held[index - 1].span.to_ns == held[index].span.from_ns =>
            {
                last.end += 1;
            }
            _ => found.push(index..index + 1),
        }
    }
    found.retain(|run| longest_silence(&held[run.clone()]) >= LEAST_S);
    found
}

/// From the first of them to the last.
fn spanned(slices: &[Slice<'_>]) -> Span {
    Span {
        from_ns: slices.first().map_or(0, |slice| slice.span.from_ns),
        to_ns: slices.last().map_or(0, |slice| slice.span.to_ns),
    }
}

fn why(case: &Case<'_>, slice: &Slice<'_>, clues: &[Clue], silence_counts: bool) -> Why {
    let level = level(slice.sample);
    let is = |of: &dyn Fn(&Standby) -> bool| {
        let awaited = awaited(slice.sample);
        !awaited.is_empty() && awaited.into_iter().all(of)
    };
    let serves = |flow| case.serves(flow, slice);
    if clues.iter().any(|clue| clue.covers(case, slice)) {
        Why::Network
    } else if is_gone(slice.sample) {
        Why::Gone
    } else if case.starved.iter().any(|one| one.is_at(slice.span)) {
        Why::Starved
    } else if rtt::dominates(case.recorded, slice.span, serves) {
        // Of two replies on a long way, one comes well before the other.
        Why::Far
    } else if level != Some(Level::Write) && is(&has_to_flush) {
        Why::Flush
    } else if is(&|one| has_to_apply(one, level)) {
        Why::Apply
    } else if silence_counts && is_silent(slice) {
        match rtt::arrives(case.recorded, slice.span, serves) {
            Some(false) if is(&has_been_sent) => Why::Unheard,
            _ => Why::Silent,
        }
    } else if rtt::long(case.recorded, slice.span, serves).is_some() {
        Why::Far
    } else {
        Why::Rest
    }
}

/// Whether a standby had not told yet that it has all there was; where that is not seen, it
/// may not have.
fn owes_a_reply(sample: &Sample) -> bool {
    let lacks = |standby: &&Standby| standby.flush_lag_bytes != Some(0);
    awaited(sample).iter().any(lacks)
}

/// There is more that it has not flushed than what the primary has not sent.
fn has_been_sent(standby: &Standby) -> bool {
    let lags = standby.flush_lag_bytes.zip(standby.sent_lag_bytes);
    lags.is_some_and(|(flush, sent)| flush > sent)
}

/// A standby tells what it has written before it flushes it
/// (`XLogWalRcvSendReply()` in
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/replication/walreceiver.c>).
fn has_to_flush(standby: &Standby) -> bool {
    let lags = standby.flush_lag_bytes.zip(standby.write_lag_bytes);
    lags.is_some_and(|(flush, write)| flush > write)
}

/// Of what is missing to be applied, it has nearly all on its disk. Where commits are said
/// to wait for the flush alone, it has to have all of it: only then does one that waits all
/// the same wait for more.
fn has_to_apply(standby: &Standby, level: Option<Level>) -> bool {
    let lags = standby.flush_lag_bytes.zip(standby.replay_lag_bytes);
    let on_disk = |flush, replay| match level {
        Some(Level::Write | Level::Flush) => flush <= 0,
        Some(Level::Apply) | None => replay >= NEARLY * flush,
    };
    lags.is_some_and(|(flush, replay)| replay > 0 && on_disk(flush, replay))
}

/// Whether none of them has replied since the sample before. Their clocks may differ
/// from the primary's, so that an age tells only by how it grows.
pub(crate) fn is_silent(slice: &Slice<'_>) -> bool {
    let Some(before) = slice.before else {
        return false;
    };
    let passed_ms = slice.sample.at_ns.saturating_sub(before.at_ns) as f64 / 1e6;
    let silent = |now: &&Standby| {
        let then = before.standbys.iter().find(|one| one.pid == now.pid);
        let ages = then.and_then(|then| Some((then.reply_age_ms?, now.reply_age_ms?)));
        ages.is_some_and(|(then, now)| now - then >= SILENT * passed_ms)
    };
    let awaited = awaited(slice.sample);
    !awaited.is_empty() && awaited.iter().all(silent)
}

/// The longest time without a break among these, s.
pub(crate) fn longest_silence(slices: &[Slice<'_>]) -> f64 {
    let mut longest: f64 = 0.0;
    let mut current = 0.0;
    let mut last_ns = None;
    for slice in slices {
        current = if last_ns == Some(slice.span.from_ns) {
            current + slice.span.seconds()
        } else {
            slice.span.seconds()
        };
        longest = longest.max(current);
        last_ns = Some(slice.span.to_ns);
    }
    longest
}
