//! What a server shows, and what becomes of it.

use std::thread;

use tracer_core::report::sample::{Role, Standby};
use xtask::testbed::postgres::{Frozen, STANDBY};

use crate::postgres::watched::{Lab, Watched};

const DSN: &str = "host=10.0.10.2 user=postgres";
const INSERT: &str = "insert into lab (note) values ('test')";

/// On every version.
pub(crate) fn samples_agree_with_psql(lab: &Lab) {
    let mut tool = Watched::start(lab.primary(), DSN, &[]);
    tool.await_line(&["primary", "timeline 1", STANDBY, "streaming sync"]);
    lab.psql(INSERT);
    let lsn = "select pg_current_wal_lsn()";
    // Idle, but for a snapshot of running transactions now and then.
    let before = lab.psql(lsn);
    tool.await_line(&["streaming sync"]);
    tool.await_line(&["replay 0 B"]);
    let seen = tool.finish();
    let after = lab.psql(lsn);

    let last = seen.last();
    let found = last.wal_lsn.as_ref().unwrap();
    let between = format!("select '{found}'::pg_lsn between '{before}' and '{after}'");
    assert_eq!(lab.psql(&between), "t", "{before} {found} {after}");
    let standby = &last.standbys[0];
    let own = lab.psql(
        "select json_build_object('pid', pid, 'application_name', application_name,
         'client_addr', host(client_addr), 'client_port', client_port,
         'state', state, 'sync_state', sync_state) from pg_stat_replication",
    );
    let own: Standby = serde_json::from_str(&own).unwrap();
    let who = |one: &Standby| {
        let one = one.clone();
        (
            (one.pid, one.application_name),
            (one.client_addr, one.client_port),
            (one.state, one.sync_state),
        )
    };
    assert_eq!(who(standby), who(&own));
    let lags = [
        standby.sent_lag_bytes,
        standby.write_lag_bytes,
        standby.flush_lag_bytes,
        standby.replay_lag_bytes,
    ];
    assert_eq!(lags, [Some(0); 4], "{standby:?}");
    assert!(standby.reply_age_ms.is_some());
    assert_eq!(last.synchronous_standby_names.as_deref(), Some(STANDBY));
    let slot = &last.slots[0];
    assert!(slot.name == STANDBY && slot.active, "{slot:?}");
    assert_eq!(last.timeline, Some(1));
    assert!(last.receiver.is_none() && last.replay.is_none());
    let version = lab.psql("show server_version");
    let postgres = seen.postgres();
    assert_eq!(postgres.server_version.as_ref(), Some(&version));
    assert!(version.starts_with(&format!("{}.", lab.major)), "{version}");
    assert!(seen.outages().is_empty(), "{:?}", seen.outages());
    assert_eq!(postgres.standbys[0].name.as_deref(), Some(STANDBY));
    assert_eq!(seen.stderr, "");
    let offsets: Vec<f64> = postgres.series.iter().map(|one| one.offset_s).collect();
    assert!(offsets.is_sorted(), "{offsets:?}");
    assert!(*offsets.last().unwrap() <= seen.report.window.duration_s);
}

#[test]
fn a_standby_that_does_not_reply_has_commits_wait() {
    let lab = Lab::start("pgwait");
    let mut tool = Watched::start(lab.primary(), DSN, &[]);
    tool.await_line(&[" 0 waiting for a standby"]);
    let receiver = lab.receiver();
    let frozen = Frozen::new(receiver).unwrap();
    thread::scope(|scope| {
        let commits = [0, 1].map(|_| scope.spawn(|| lab.psql(INSERT)));
        tool.await_line(&[" 2 waiting for a standby"]);
        drop(frozen);
        for commit in commits {
            commit.join().unwrap();
        }
    });
    tool.await_line(&[" 0 waiting for a standby"]);
    let seen = tool.finish();
    let postgres = seen.postgres();
    assert_eq!(postgres.sync_rep_waiters_max, Some(2));
    let waits = postgres.series.iter().filter(|one| {
        let mut waits = one.sample.waits.iter().flatten();
        waits.any(|wait| {
            (wait.kind.as_str(), wait.event.as_str(), wait.backends) == ("IPC", "SyncRep", 2)
        })
    });
    assert!(waits.count() > 0);
    // How long the longest of them waits is told wherever somebody does.
    for one in &postgres.series {
        let (sample, longest) = (&one.sample, one.sample.sync_rep_longest_ms.unwrap());
        let waiters = sample.sync_rep_waiters.unwrap();
        assert_eq!(longest > 0.0, waiters != 0, "{sample:?}");
    }
    assert!(postgres.standbys[0].flush_lag_bytes_max > Some(0));
}

#[test]
fn a_restart_is_a_gap_and_not_the_end() {
    let mut lab = Lab::start("pgdown");
    let mut tool = Watched::start(lab.primary(), DSN, &[]);
    tool.await_line(&["primary"]);
    lab.pair.primary_mut().stop();
    tool.await_line(&["PostgreSQL: no sample for", "10.0.10.2"]);
    lab.restart_primary();
    tool.await_line(&["primary", STANDBY, "streaming sync"]);
    // As after a power cut, of which the server says nothing.
    lab.pair.primary_mut().crash();
    tool.await_line(&["PostgreSQL: no sample for"]);
    lab.restart_primary();
    tool.await_line(&["primary", "timeline 1"]);
    let seen = tool.finish();
    let gaps = seen.outages();
    assert!(gaps.len() >= 2, "{gaps:?}");
    for gap in gaps {
        assert!(gap.end.is_some() && gap.duration_s > 0.0, "{gap:?}");
        let (from, length) = (gap.offset_s, gap.duration_s);
        let inside = seen.postgres().series.iter().filter(|sample| {
            let at = sample.offset_s;
            from + 1e-6 < at && at < from + length - 1e-6
        });
        assert_eq!(inside.count(), 0, "there are samples in {gap:?}");
    }
    assert!(
        seen.warnings()
            .iter()
            .any(|one| one.starts_with("PostgreSQL: "))
    );
}

#[test]
fn a_standby_is_followed_through_its_promotion() {
    let mut lab = Lab::start("pgprom");
    let dsn = "host=10.0.10.3 user=postgres";
    let mut tool = Watched::start(lab.standby(), dsn, &[]);
    tool.await_line(&["standby", "timeline 1", "streaming from 10.0.10.2"]);
    lab.pair.primary_mut().stop();
    tool.await_line(&["receives nothing"]);
    let promoted = lab.pair.standby().value("select pg_promote()");
    assert_eq!(promoted.unwrap().as_deref(), Some("t"));
    tool.await_line(&["primary", "timeline 2"]);
    let seen = tool.finish();
    let roles = seen.postgres().roles.iter();
    let roles: Vec<_> = roles.map(|turn| (turn.role, turn.timeline)).collect();
    assert_eq!(roles.first(), Some(&(Role::Standby, Some(1))));
    assert_eq!(roles.last(), Some(&(Role::Primary, Some(2))));
    let first = &seen.postgres().series[0].sample;
    let receiver = first.receiver.as_ref().unwrap();
    assert_eq!(receiver.sender_host.as_deref(), Some("10.0.10.2"));
    assert_eq!(receiver.sender_port, Some(5432));
    assert!(!first.replay.as_ref().unwrap().paused);
}
