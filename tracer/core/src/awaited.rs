//! Which standbys a primary's commits wait for, as the server itself decides it.
//!
//! A commit waits until so many of the standbys that `synchronous_standby_names` lists
//! have confirmed its WAL. With `FIRST n` these are the first `n` that stream, and the one
//! that is furthest behind holds all commits; with `ANY n`, the one with the `n`th most
//! WAL does (`SyncRepGetSyncRecPtr()` and `SyncRepGetCandidateStandbys()` in
//! [`syncrep.c`](https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/replication/syncrep.c)).
//! Nothing waits for any other, whatever becomes of it.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod names;

use crate::awaited::names::{ANY_NAME, Method, StandbyNames};
use crate::report::sample::{Sample, Standby};

/// What has to be confirmed of a commit's WAL, by `synchronous_commit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// `remote_write`: the standby has it in its memory.
    Write,
    /// `on`: on its disk.
    Flush,
    /// `remote_apply`: replayed.
    Apply,
}

/// Whom commits wait for at the moment of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Awaited<'a> {
    /// What they wait for, as the server's setting says. `None` if it does not say so of a
    /// commit that waits: `local`, `off`, or not known. A session may have its own.
    pub level: Option<Level>,
    /// Those whose confirmed position holds commits: what these lack is what commits wait
    /// for. Empty if too few stream for any commit to be released.
    pub holding: Vec<&'a Standby>,
    /// So many more would have to stream for a commit to be released.
    pub lacking: usize,
    /// Names in the list under which none streams, where that keeps commits waiting.
    pub absent: Vec<String>,
    /// Those that are connected under one of these names, and do not stream yet.
    pub joining: Vec<&'a Standby>,
}

/// `None` if no commit waits for a standby, or if it is not known which.
#[must_use]
pub fn awaited(sample: &Sample) -> Option<Awaited<'_>> {
    let names = StandbyNames::parse(sample.synchronous_standby_names.as_deref()?)?;
    let places = || {
        let standbys = sample.standbys.iter();
        standbys.filter_map(|one| Some((place(&names, one)?, one)))
    };
    let mut candidates: Vec<_> = places().filter(|(_, one)| counts(one)).collect();
    let level = Level::of(sample);
    let lacking = names.needed.saturating_sub(candidates.len());
    if lacking > 0 {
        let joining = places().filter(|(_, one)| !counts(one));
        return Some(Awaited {
            level,
            holding: Vec::new(),
            lacking,
            absent: absent(&names, &candidates),
            joining: joining.map(|(_, one)| one).collect(),
        });
    }
    if names.method == Method::First {
        // Among equals, the server's own choice is shown.
        let is_chosen = |one: &Standby| one.sync_state.as_deref() == Some("sync");
        candidates.sort_by_key(|(place, one)| (!is_chosen(one), *place));
        candidates.truncate(names.needed);
    }
    let candidates: Vec<&Standby> = candidates.into_iter().map(|(_, one)| one).collect();
    Some(Awaited {
        level,
        holding: holding(&names, &candidates, level),
        lacking,
        absent: Vec::new(),
        joining: Vec::new(),
    })
}

impl Level {
    fn of(sample: &Sample) -> Option<Self> {
        match sample.synchronous_commit.as_deref()? {
            "remote_write" => Some(Self::Write),
            "on" => Some(Self::Flush),
            "remote_apply" => Some(Self::Apply),
            _ => None,
        }
    }

    /// What a standby has not confirmed of what was written, bytes. One that has never
    /// confirmed anything lacks all of it.
    fn lacks(self, standby: &Standby) -> i64 {
        let bytes = match self {
            Self::Write => standby.write_lag_bytes,
            Self::Flush => standby.flush_lag_bytes,
            Self::Apply => standby.replay_lag_bytes,
        };
        bytes.unwrap_or(i64::MAX)
    }
}

/// Where the list has it; the server's own word comes first, which may be ahead of the
/// setting by a moment.
fn place(names: &StandbyNames, standby: &Standby) -> Option<usize> {
    let named = names.place(standby.application_name.as_deref().unwrap_or_default());
    match standby.sync_state.as_deref() {
        Some("async") => None,
        Some("sync" | "quorum" | "potential") => Some(named.unwrap_or(names.listed.len())),
        _ => named,
    }
}

/// Whether its confirmations release commits: neither does one that only catches up, nor
/// one that never says what it has flushed, as `pg_receivewal` by default, which the server
/// itself calls asynchronous.
fn counts(standby: &Standby) -> bool {
    let streams = matches!(standby.state.as_deref(), Some("streaming" | "stopping"));
    streams && (standby.flush_lag_bytes.is_some() || standby.sync_state.is_some())
}

/// Listed names that no candidate has.
fn absent(names: &StandbyNames, candidates: &[(usize, &Standby)]) -> Vec<String> {
    let taken = |place: usize| candidates.iter().any(|(one, _)| *one == place);
    let listed = names.listed.iter().enumerate();
    listed
        .filter(|(place, name)| *name != ANY_NAME && !taken(*place))
        .map(|(_, name)| name.clone())
        .collect()
}

/// Those at the position up to which commits are released, as far as it is confirmed.
fn holding<'a>(
    names: &StandbyNames,
    candidates: &[&'a Standby],
    level: Option<Level>,
) -> Vec<&'a Standby> {
    let at = |level: Level| {
        let mut lags: Vec<i64> = candidates.iter().map(|one| level.lacks(one)).collect();
        lags.sort_unstable();
        match names.method {
            Method::First => lags.last().copied(),
            Method::Any => lags.get(names.needed.checked_sub(1)?).copied(),
        }
    };
    let level = match level.unwrap_or(Level::Flush) {
        // Who has flushed all of it and is waited for is asked to apply it.
        Level::Flush if at(Level::Flush) <= Some(0) && at(Level::Apply) > Some(0) => Level::Apply,
        level => level,
    };
    let lag = at(level);
    let candidates = candidates.iter().copied();
    candidates
        .filter(|one| Some(level.lacks(one)) == lag)
        .collect()
}

#[cfg(test)]
mod tests;
