//! Ways not to get in: one clear line each, and the count goes on.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use crate::postgres::watched::{Lab, Seen, Watched};
use crate::support::program::PROGRAM;

const SECRET: &str = "wr0ng-in-the-test";

/// A run that never gets in, and says so at once.
pub(crate) fn refused(lab: &Lab, dsn: &str, words: &[&str]) -> Seen {
    refused_by(lab, dsn, &[], words)
}

/// The same with these variables.
fn refused_by(lab: &Lab, dsn: &str, variables: &[(&str, &str)], words: &[&str]) -> Seen {
    let mut tool = Watched::with(lab.primary(), dsn, &["-vv"], variables);
    tool.await_line(&["PostgreSQL: no sample for"]);
    let seen = tool.finish();
    assert!(!seen.everything().contains(SECRET), "{}", seen.everything());
    let warnings = seen.warnings();
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}");
    };
    for word in words {
        assert!(warning.contains(word), "{word} is not in {warning}");
        assert!(
            seen.stderr.contains(word),
            "{word} is not in {}",
            seen.stderr
        );
    }
    assert_eq!(warning.lines().count(), 1);
    let [gap] = &seen.postgres().gaps[..] else {
        panic!("{:?}", seen.postgres().gaps);
    };
    assert_eq!(gap.end, None);
    assert_eq!(seen.postgres().samples, 0);
    assert!(seen.stdout.contains("never answered"), "{}", seen.stdout);
    seen
}

#[test]
fn each_reason_is_one_line() {
    let lab = Lab::start("pgno");
    lab.psql("create role watcher login password 'right' in role pg_monitor");
    lab.allow("host all watcher all scram-sha-256\nhost all outcast all reject");
    let dsn = |rest: &str| format!("host=10.0.10.2 dbname=postgres {rest}");
    refused(
        &lab,
        &dsn(&format!("user=watcher password={SECRET}")),
        &[
            "10.0.10.2:5432",
            "password authentication failed",
            "watcher",
        ],
    );
    refused(
        &lab,
        &dsn("user=watcher"),
        &["asks for a password", "PGPASSWORD"],
    );
    let wrong = ["password authentication failed", "watcher"];
    refused_by(
        &lab,
        &dsn("user=watcher"),
        &[("PGPASSWORD", SECRET)],
        &wrong,
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passwords");
    fs::write(&file, format!("*:*:*:*:{SECRET}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let file = file.display().to_string();
    refused_by(&lab, &dsn("user=watcher"), &[("PGPASSFILE", &file)], &wrong);
    refused(&lab, &dsn("user=outcast"), &["pg_hba.conf", "outcast"]);
    refused(
        &lab,
        &dsn("user=nobody_at_all"),
        &["nobody_at_all", "does not exist"],
    );
    let rest = "host=10.0.10.2 user=postgres dbname=none_such";
    refused(&lab, rest, &["none_such", "does not exist"]);
    refused(
        &lab,
        &format!("host=10.0.10.2 port=5999 user=postgres password={SECRET}"),
        &["10.0.10.2:5999", "refused"],
    );
    refused(
        &lab,
        "host=/nonexistent user=postgres",
        &["/nonexistent/.s.PGSQL.5432", "No such file"],
    );
    // Nobody has this address; nothing answers.
    let seen = refused(&lab, "host=10.0.10.77 user=postgres", &["10.0.10.77:5432"]);
    assert_eq!(seen.postgres().server_version, None);
}

#[test]
fn a_role_that_sees_little_says_what_is_missing() {
    let lab = Lab::start("pgweak");
    lab.psql("create role weak login");
    let dsn = "host=10.0.10.2 user=weak dbname=postgres";
    let mut tool = Watched::start(lab.primary(), dsn, &[]);
    tool.await_line(&["primary", "waits not visible"]);
    let seen = tool.finish();
    let warnings = seen.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("GRANT pg_monitor TO weak"),
        "{warnings:?}"
    );
    assert_eq!(seen.postgres().sees_all, Some(false));
    let last = seen.last();
    assert!(last.waits.is_none() && last.sync_rep_waiters.is_none());
    assert_eq!(last.standbys[0].flush_lag_bytes, None);
    assert_eq!(last.timeline, Some(1));
    assert!(seen.outages().is_empty(), "{:?}", seen.outages());

    // With the role that the message names, everything is there.
    lab.psql("grant pg_monitor to weak");
    let mut tool = Watched::start(lab.primary(), dsn, &[]);
    tool.await_line(&["streaming sync", " 0 waiting for a standby"]);
    let seen = tool.finish();
    assert_eq!(seen.warnings(), Vec::<&str>::new());
    assert_eq!(seen.last().standbys[0].sent_lag_bytes, Some(0));
}

#[test]
fn a_string_that_makes_no_sense_is_wrong_usage() {
    for (dsn, word) in [
        ("db1".to_owned(), "host=db1"),
        (format!("host=db1 password='{SECRET}"), "quote"),
        (format!("postgres://me:{SECRET}@x@db1/"), "%40"),
        (format!("host=db1 password={SECRET} mine=1"), "quotes"),
        (format!("host=db1 password={SECRET} sslmode=yes"), "sslmode"),
        ("host=db1 sslmode=verify-full".to_owned(), "sslrootcert"),
        ("host=db1 port=none".to_owned(), "port"),
    ] {
        let mut tracer = Command::new(PROGRAM);
        let output = tracer
            .args(["run", "--all", "--pg", &dsn])
            .env("HOME", "/nonexistent")
            .output()
            .unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(
            line.starts_with("tracer: --pg") && line.contains(word),
            "{line}"
        );
        assert!(!line.contains(SECRET) && output.stdout.is_empty(), "{line}");
    }
}
