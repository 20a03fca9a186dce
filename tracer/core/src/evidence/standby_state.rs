//! What a sample says of the standbys that commits wait for: what they have and have not
//! confirmed, and whether they reply.

use crate::awaited::Level;
use crate::evidence::blocked::SampleInterval;
use crate::evidence::links::AwaitedStandbys;
use crate::evidence::thresholds::{MIN_REPLAY_TO_FLUSH_LAG, MIN_SILENT_GROWTH};
use crate::report::sample::Standby;

/// Whether it is so of all that are awaited.
pub(crate) fn of_all(awaited: &AwaitedStandbys<'_>, is: impl Fn(&Standby) -> bool) -> bool {
    let standbys = &awaited.standbys;
    !standbys.is_empty() && standbys.iter().all(|one| is(one))
}

/// Whether one had not confirmed yet that it has all there was; where that is not seen, it
/// may not have.
pub(crate) fn owes_a_reply(awaited: &AwaitedStandbys<'_>) -> bool {
    let lacks = |standby: &&Standby| standby.flush_lag_bytes != Some(0);
    awaited.standbys.iter().any(lacks)
}

/// There is more that it has not flushed than what the primary has not sent.
pub(crate) fn has_been_sent(standby: &Standby) -> bool {
    let lags = standby.flush_lag_bytes.zip(standby.sent_lag_bytes);
    lags.is_some_and(|(flush, sent)| flush > sent)
}

/// A standby confirms what it has written before it flushes it
/// (`XLogWalRcvSendReply()` in
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/replication/walreceiver.c>).
pub(crate) fn has_to_flush(standby: &Standby) -> bool {
    let lags = standby.flush_lag_bytes.zip(standby.write_lag_bytes);
    lags.is_some_and(|(flush, write)| flush > write)
}

/// Of what is missing to be replayed, it has nearly all on its disk. Where commits are said
/// to wait for the flush alone, it has to have all of it: only then does one that waits all
/// the same wait for more.
pub(crate) fn has_to_apply(standby: &Standby, level: Option<Level>) -> bool {
    let lags = standby.flush_lag_bytes.zip(standby.replay_lag_bytes);
    let on_disk = |flush, replay| match level {
        Some(Level::Write | Level::Flush) => flush <= 0,
        Some(Level::Apply) | None => replay >= MIN_REPLAY_TO_FLUSH_LAG * flush,
    };
    lags.is_some_and(|(flush, replay)| replay > 0 && on_disk(flush, replay))
}

/// Whether none of the awaited has replied since the sample before: their last reply is still
/// the same. Where samples do not tell that, its age counts, and only by how it grows: their
/// clocks may differ from the primary's.
pub(crate) fn is_silent(interval: &SampleInterval<'_>, awaited: &AwaitedStandbys<'_>) -> bool {
    let Some(before) = interval.before else {
        return false;
    };
    let passed_ms = interval.sample.at_ns.saturating_sub(before.at_ns) as f64 / 1e6;
    of_all(awaited, |now| {
        let then = before.standbys.iter().find(|one| one.pid == now.pid);
        let sent = then.and_then(|then| Some((then.reply_sent_us?, now.reply_sent_us?)));
        if let Some((then, now)) = sent {
            return then == now;
        }
        let ages = then.and_then(|then| Some((then.reply_age_ms?, now.reply_age_ms?)));
        ages.is_some_and(|(then, now)| now - then >= MIN_SILENT_GROWTH * passed_ms)
    })
}
