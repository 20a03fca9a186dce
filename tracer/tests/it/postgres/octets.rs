//! Names that `psql` takes: with an `@`, and of bytes that are no text.

use std::fs;

use crate::postgres::login::in_by;
use crate::postgres::watched::{Lab, Watched};

#[test]
fn an_at_sign_in_a_uri_is_what_psql_takes_it_for() {
    let lab = Lab::start("pgat");
    lab.psql(
        "set password_encryption = 'scram-sha-256'; \
         create role \"a@b\" login password 'p@ss' in role pg_monitor",
    );
    lab.psql("create database \"d@b\"");
    lab.allow("host all \"a@b\" all scram-sha-256");
    for uri in [
        "postgresql://10.0.10.2/postgres?user=a@b&password=p@ss",
        "postgresql://a%40b:p%40ss@10.0.10.2/d@b",
        "postgresql:///d@b?host=10.0.10.2&user=a@b&password=p@ss",
    ] {
        let netns = &lab.primary().netns;
        let whole = netns.run("psql", &["-XAtc", "select current_user", uri]);
        assert_eq!(whole.unwrap().trim_end(), "a@b", "{uri}");
        let seen = in_by(&lab, uri, &[]);
        assert_eq!(seen.postgres().user.as_deref(), Some("a@b"), "{uri}");
        assert!(!seen.everything().contains("p@ss"), "{uri}");
    }
}

/// What makes names of bytes that are no UTF-8, in a database that takes any.
const NAMES: &[u8] = b"create role \"r\xe4\";\n\
    create database \"d\xe4\" template template0;\n\
    alter system set synchronous_standby_names = 'standby, \"caf\xe9\"';\n\
    create role hidden login in role \"r\xe4\";\n\
    grant pg_monitor to \"r\xe4\";\n\
    alter role hidden set role = \"r\xe4\";\n\
    select pg_reload_conf();\n";

#[test]
fn names_that_are_no_text_cost_nothing() {
    let lab = Lab::start("pgbytes");
    for encoding in ["SQL_ASCII", "LATIN1", "EUC_JP"] {
        lab.psql(&format!(
            "create database {encoding} encoding '{encoding}' template template0 \
             lc_collate 'C' lc_ctype 'C'"
        ));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("names.sql");
    fs::write(&file, NAMES).unwrap();
    let host = lab.pair.primary().socket_dir().display().to_string();
    let mut psql = lab.primary().netns.command("psql");
    psql.args([
        "-U",
        "postgres",
        "-h",
        &host,
        "-Xq",
        "-v",
        "ON_ERROR_STOP=1",
    ])
    .args(["-d", "sql_ascii", "-f"])
    .arg(&file)
    .env("PGCLIENTENCODING", "SQL_ASCII");
    let output = psql.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    lab.psql("create role \"w€\" login in role pg_monitor");
    // The server's own encoding is another in each.
    let as_bytes = r#"standby, "caf\xe9""#;
    for (database, user, is, names) in [
        ("sql_ascii", "postgres", "postgres", as_bytes),
        ("postgres", "w€", "w€", as_bytes),
        ("latin1", "postgres", "postgres", "standby, \"café\""),
        ("euc_jp", "postgres", "postgres", as_bytes),
        // Whoever logs in may be somebody else from then on.
        ("sql_ascii", "hidden", r"r\xe4", as_bytes),
        ("postgres", "hidden", r"r\xe4", as_bytes),
    ] {
        let dsn = format!("host=10.0.10.2 user={user} dbname={database}");
        let mut tool = Watched::start(lab.primary(), &dsn, &[]);
        tool.await_line(&["primary", "timeline 1", "standby", "streaming sync"]);
        let seen = tool.finish();
        let told = seen.last().synchronous_standby_names.as_deref();
        assert_eq!(told, Some(names), "{database}");
        assert_eq!(seen.postgres().user.as_deref(), Some(is), "{database}");
        assert_eq!(seen.warnings(), Vec::<&str>::new(), "{database}");
        assert!(seen.outages().is_empty(), "{database}");
    }
}
