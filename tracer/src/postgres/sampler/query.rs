//! What a server is asked, and how its answer is read.
//!
//! All statements work in both roles and go in one round trip: a server may change
//! its role between two. They are those of versions 13 to 18, of which 12 and before
//! lack columns. Names in them are looked for in `pg_catalog` alone, by the bounds
//! within which they are asked.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use tracer_core::report::sample::{Receiver, Replay, Role, Sample, Slot, Standby, Wait};

use crate::postgres::answer_row::AnswerRow;
use crate::postgres::connection::room::Free;
use crate::postgres::connection::{ConnectError, Rows};
use crate::postgres::raw;
use crate::postgres::sampler::statements::{self, Source};
use tracer_core::recording::database::Greeting;

/// The oldest major version that has all that is asked for.
const OLDEST: u32 = 13;

/// Asked once a connection: version, and our rights.
pub(crate) fn greeting() -> String {
    let user = raw::asked("current_user");
    format!(
        "\
select current_setting('server_version_num'), current_setting('server_version'),
  {user}, pg_has_role(current_user, 'pg_read_all_stats', 'usage'),
  current_setting('port'), pg_is_in_recovery(),
  (select system_identifier from pg_control_system())"
    )
}

/// Where the WAL ends: `pg_current_wal_lsn` is an error in recovery, and evaluated
/// only outside of it.
const HERE: &str = "(select case when pg_is_in_recovery() \
    then coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) \
    else pg_current_wal_lsn() end as lsn) as here";

/// How many more connections there could be: in all, of our role, and of our database;
/// `null` where nothing bounds them. Processes that only the server needs have places of
/// their own, and so have walsenders; those that we may not see into count.
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/utils/init/postinit.c>
const FREE: &str = "\
select current_setting('max_connections')::int8
    - current_setting('superuser_reserved_connections')::int8
    - coalesce(current_setting('reserved_connections', true)::int8, 0)
    - count(*),
  case when not r.rolsuper and r.rolconnlimit >= 0
    then r.rolconnlimit - count(*) filter (where a.usesysid = r.oid) end,
  case when not r.rolsuper and d.datconnlimit >= 0
    then d.datconnlimit - count(*) filter (where a.datid = d.oid) end
  from pg_stat_activity a, pg_roles r, pg_database d
  where r.rolname = session_user and d.datname = current_database()
  and (a.backend_type = 'client backend' or a.backend_type is null and a.usesysid is not null)
  group by r.rolsuper, r.rolconnlimit, d.datconnlimit";

/// Asked once an interval; of statements only if there are counts of them.
pub(crate) fn sample(statements: Option<&Source>) -> String {
    let statements = statements.map(|source| format!(";\n{}", source.sample()));
    let statements = statements.unwrap_or_default();
    let names = raw::asked("current_setting('synchronous_standby_names')");
    let (standby, sender) = (raw::asked("application_name"), raw::asked("sender_host"));
    format!(
        "\
select pg_is_in_recovery(), here.lsn,
  case when pg_is_in_recovery()
    then coalesce((select received_tli from pg_stat_wal_receiver),
                  (select timeline_id from pg_control_checkpoint()))
    else ('x' || substr(pg_walfile_name(here.lsn), 1, 8))::bit(32)::int end,
  {names},
  (select sum(xact_commit)::int8 from pg_stat_database),
  pg_last_wal_replay_lsn(),
  pg_wal_lsn_diff(here.lsn, pg_last_wal_replay_lsn())::int8,
  extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000,
  case when pg_is_in_recovery() then pg_is_wal_replay_paused() else false end,
  current_setting('synchronous_commit'), startup.wait_event_type, startup.wait_event
  from {HERE} left join (select wait_event_type, wait_event from pg_stat_activity
    where backend_type = 'startup' limit 1) as startup on true;
select pid, {standby}, host(client_addr), client_port, state, sync_state,
  pg_wal_lsn_diff(here.lsn, sent_lsn)::int8,
  pg_wal_lsn_diff(here.lsn, write_lsn)::int8,
  pg_wal_lsn_diff(here.lsn, flush_lsn)::int8,
  pg_wal_lsn_diff(here.lsn, replay_lsn)::int8,
  extract(epoch from write_lag) * 1000,
  extract(epoch from flush_lag) * 1000,
  extract(epoch from replay_lag) * 1000,
  extract(epoch from clock_timestamp() - reply_time) * 1000,
  (extract(epoch from reply_time) * 1000000)::int8
  from pg_stat_replication, {HERE} order by application_name, pid;
select wait_event_type, wait_event, count(*), count(*) filter (where state = 'active'),
  extract(epoch from clock_timestamp() - min(query_start)) * 1000,
  count(*) filter (where state = 'disabled'),
  count(*) filter (where state = 'disabled'
    and current_setting('server_version_num')::int < 140000)
  from pg_stat_activity where pid <> pg_backend_pid()
  and wait_event_type is distinct from 'Activity' group by 1, 2 order by 3 desc, 1, 2;
select slot_name, slot_type, active, pg_wal_lsn_diff(here.lsn, restart_lsn)::int8, wal_status
  from pg_replication_slots, {HERE} order by slot_name;
select pid, status, {sender}, sender_port, slot_name,
  pg_wal_lsn_diff(written_lsn, flushed_lsn)::int8,
  extract(epoch from clock_timestamp() - last_msg_receipt_time) * 1000
  from pg_stat_wal_receiver;
{FREE}{statements}"
    )
}

/// Reads the answer to [`greeting`].
///
/// # Errors
/// If it is none, or of a version that is too old.
pub fn greeted(answers: &[Rows]) -> Result<Greeting, ConnectError> {
    let row = AnswerRow::first(answers);
    let greeting = Greeting {
        major: row.number::<u32>(0).ok_or_else(odd)? / 10_000,
        version: row.text(1).ok_or_else(odd)?,
        user: row.raw(2).ok_or_else(odd)?,
        sees_all: row.is_true(3),
        port: row.number(4),
        role: role(row.is_true(5)),
        // SQL has no unsigned integers.
        system_identifier: row.number::<i64>(6).map(i64::cast_unsigned),
    };
    if greeting.major < OLDEST {
        return Err(ConnectError::permanent(format!(
            "the server is PostgreSQL {}; its replication can be watched from {OLDEST} on",
            greeting.version
        )));
    }
    Ok(greeting)
}

/// Reads the answer to [`sample`].
///
/// # Errors
/// If it is none.
pub fn read(answers: &[Rows], sees_all: bool) -> Result<Sample, ConnectError> {
    let [
        server,
        standbys,
        activity,
        slots,
        receiver,
        _,
        statements @ ..,
    ] = answers
    else {
        return Err(odd());
    };
    let server = AnswerRow(server.first().ok_or_else(odd)?);
    let activity = match sees_all {
        true => Some(Activity::read(activity).ok_or_else(odd)?),
        false => None,
    };
    let standby = server.is_true(0);
    Ok(Sample {
        at_ns: 0,
        took_ms: 0.0,
        role: role(standby),
        wal_lsn: server.text(1),
        timeline: server.number(2),
        synchronous_standby_names: server.raw(3),
        synchronous_commit: server.text(9),
        xact_commit: server.number(4),
        commits_per_s: None,
        statement_sums: statements::sums(AnswerRow::first(statements)),
        statements: None,
        active: activity.as_ref().and_then(Activity::active),
        untracked: activity.as_ref().map(|activity| activity.untracked),
        sync_rep_waiters: activity.as_ref().and_then(Activity::sync_rep),
        sync_rep_longest_ms: activity.as_ref().and_then(Activity::sync_rep_longest_ms),
        waits: activity.and_then(Activity::into_waits),
        standbys: rows(standbys).filter_map(read_standby).collect(),
        slots: rows(slots).filter_map(read_slot).collect(),
        receiver: rows(receiver).next().and_then(read_receiver),
        replay: standby.then(|| Replay {
            lsn: server.text(5),
            lag_bytes: server.number(6),
            last_commit_age_ms: server.number(7),
            paused: server.is_true(8),
            wait_event_type: server.text(10),
            wait_event: server.text(11),
        }),
    })
}

/// Reads how many more connections there could be from the answer to [`sample`].
#[must_use]
pub fn free(answers: &[Rows]) -> Option<Free> {
    let row = AnswerRow(answers.get(5)?.first()?);
    Some(Free::least(row.number(0)?, row.number(1), row.number(2)))
}

fn rows(answer: &Rows) -> impl Iterator<Item = AnswerRow<'_>> {
    answer.iter().map(|row| AnswerRow(row))
}

fn read_standby(row: AnswerRow<'_>) -> Option<Standby> {
    Some(Standby {
        pid: row.number(0)?,
        application_name: row.raw(1),
        client_addr: row.text(2),
        client_port: row.number(3),
        state: row.text(4),
        sync_state: row.text(5),
        sent_lag_bytes: row.number(6),
        write_lag_bytes: row.number(7),
        flush_lag_bytes: row.number(8),
        replay_lag_bytes: row.number(9),
        write_lag_ms: row.number(10),
        flush_lag_ms: row.number(11),
        replay_lag_ms: row.number(12),
        reply_age_ms: row.number(13),
        reply_sent_us: row.number(14),
    })
}

fn read_slot(row: AnswerRow<'_>) -> Option<Slot> {
    Some(Slot {
        name: row.text(0)?,
        kind: row.text(1)?,
        active: row.is_true(2),
        retained_bytes: row.number(3),
        wal_status: row.text(4),
    })
}

fn read_receiver(row: AnswerRow<'_>) -> Option<Receiver> {
    Some(Receiver {
        pid: row.number(0)?,
        status: row.text(1),
        sender_host: row.raw(2),
        sender_port: row.number(3),
        slot: row.text(4),
        flush_lag_bytes: row.number(5),
        message_age_ms: row.number(6),
    })
}

/// What a commit waits for that waits for a standby.
const SYNC_REP: &str = "SyncRep";

/// What all backends do.
#[derive(Default)]
struct Activity {
    active: u32,
    /// Backends of which the server does not say what they do: `track_activities` is off.
    untracked: u32,
    /// Of those, as many as it does not even say what they wait for. Only before
    /// version 14: `pgstat_report_wait_start()` in
    /// <https://github.com/postgres/postgres/blob/REL_13_STABLE/src/include/pgstat.h>
    /// asked for `track_activities`, and the one in `utils/wait_event.h` does not.
    silent: u32,
    waits: Vec<Wait>,
}

impl Activity {
    fn read(answer: &Rows) -> Option<Self> {
        let mut activity = Self::default();
        for row in rows(answer) {
            // What answers need not be a server.
            let add = |sum: &mut u32, column| {
                *sum = sum.saturating_add(row.number(column)?);
                Some(())
            };
            add(&mut activity.active, 3)?;
            add(&mut activity.untracked, 5)?;
            add(&mut activity.silent, 6)?;
            if let (Some(kind), Some(event)) = (row.text(0), row.text(1)) {
                activity.waits.push(Wait {
                    kind,
                    event,
                    backends: row.number(2)?,
                    longest_ms: row.number(4),
                });
            }
        }
        Some(activity)
    }

    fn active(&self) -> Option<u32> {
        (self.untracked == 0).then_some(self.active)
    }

    fn on_sync_rep(&self) -> impl Iterator<Item = &Wait> {
        self.waits.iter().filter(|wait| wait.event == SYNC_REP)
    }

    fn sync_rep(&self) -> Option<u32> {
        let waiters = self.on_sync_rep().map(|wait| wait.backends);
        let waiters = waiters.fold(0, u32::saturating_add);
        (self.silent == 0).then_some(waiters)
    }

    /// That nobody waits is 0, and that nobody knows since when is not.
    fn sync_rep_longest_ms(&self) -> Option<f64> {
        match self.sync_rep()? {
            0 => Some(0.0),
            _ => self
                .on_sync_rep()
                .filter_map(|wait| wait.longest_ms)
                .reduce(f64::max),
        }
    }

    fn into_waits(self) -> Option<Vec<Wait>> {
        (self.silent == 0).then_some(self.waits)
    }
}

fn role(in_recovery: bool) -> Role {
    match in_recovery {
        true => Role::Standby,
        false => Role::Primary,
    }
}

fn odd() -> ConnectError {
    ConnectError::permanent("the answer is not that of a PostgreSQL server")
}

#[cfg(test)]
mod tests;
