//! Ways to get in.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use xtask::testbed::{command, postgres::Frozen};

use crate::postgres::watched::{Lab, Seen, Watched};

const SECRET: &str = "s3cr3t-of-the-test";

pub(crate) fn role(lab: &Lab, name: &str) {
    lab.psql(&format!(
        // Version 13 would store it for another way of asking.
        "set password_encryption = 'scram-sha-256'; create role {name} login password '{SECRET}' in role pg_monitor"
    ));
}

/// A run that does not get in, and says what of TLS is wrong.
pub(crate) fn refused_by_tls(lab: &Lab, dsn: &str, word: &str) {
    let mut tool = Watched::start(lab.primary(), dsn, &[]);
    tool.await_line(&["no sample for"]);
    let seen = tool.finish();
    let told = seen.warnings().join("\n");
    assert!(told.contains("TLS") && told.contains(word), "{dsn}: {told}");
    assert_eq!(seen.postgres().samples, 0, "{dsn}");
}

/// A run that gets in. Nobody is told its password.
pub(crate) fn in_by(lab: &Lab, dsn: &str, variables: &[(&str, &str)]) -> Seen {
    let mut tool = Watched::with(lab.primary(), dsn, &["-vv"], variables);
    tool.await_line(&["primary", "streaming sync"]);
    let seen = tool.finish();
    assert!(!seen.everything().contains(SECRET), "{dsn}");
    assert_eq!(seen.warnings(), Vec::<&str>::new(), "{dsn}");
    seen
}

#[test]
fn a_password_comes_from_the_string_the_environment_or_the_file() {
    let lab = Lab::start("pgpass");
    role(&lab, "watcher");
    lab.allow("host all watcher all scram-sha-256");
    let base = "host=10.0.10.2 user=watcher dbname=postgres";
    let seen = in_by(&lab, &format!("{base} password={SECRET}"), &[]);
    assert_eq!(
        seen.report.request.pg.as_deref(),
        Some("10.0.10.2:5432 user=watcher dbname=postgres sslmode=prefer")
    );
    in_by(
        &lab,
        &format!("postgresql://watcher:{SECRET}@10.0.10.2/postgres"),
        &[],
    );
    in_by(&lab, base, &[("PGPASSWORD", SECRET)]);
    let everything = [
        ("PGHOST", "10.0.10.2"),
        ("PGUSER", "watcher"),
        ("PGDATABASE", "postgres"),
        ("PGPASSWORD", SECRET),
    ];
    in_by(&lab, "", &everything);

    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".pgpass");
    fs::write(&file, format!("10.0.10.2:*:*:watcher:{SECRET}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let at_home = [("HOME", &*home.path().display().to_string())];
    in_by(&lab, base, &at_home);

    fs::remove_file(&file).unwrap();
    let service =
        format!("[lab]\nhost=10.0.10.2\nuser=watcher\ndbname=postgres\npassword={SECRET}\n");
    fs::write(home.path().join(".pg_service.conf"), service).unwrap();
    in_by(&lab, "service=lab", &at_home);
}

#[test]
fn a_socket_file_knows_who_we_are() {
    let lab = Lab::start("pgpeer");
    role(&lab, "root");
    lab.allow("local all root peer");
    let folder = lab.pair.primary().socket_dir().display().to_string();
    in_by(&lab, &format!("host={folder} dbname=postgres"), &[]);
    // Of a folder that only its owner may enter, root may still use the file.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    in_by(&lab, &format!("host={folder} dbname=postgres"), &[]);
}

#[test]
fn another_namespace_is_asked_from_within() {
    let mut lab = Lab::start("pgnetns");
    let name = lab.primary().netns.name().to_owned();
    // From the standby's host, the primary's loopback is out of reach.
    lab.psql("alter system set listen_addresses = '127.0.0.1,10.0.10.2'");
    lab.restart_primary();
    let dsn = "host=127.0.0.1 user=postgres";
    let mut tool = Watched::start(lab.standby(), dsn, &["--netns", &name]);
    tool.await_line(&["primary", "timeline 1"]);
    tool.finish();
}

pub(crate) fn openssl(folder: &Path, arguments: &str) {
    let mut openssl = Command::new("openssl");
    openssl.args(arguments.split(' ')).current_dir(folder);
    command::output(&mut openssl).unwrap();
}

#[test]
fn tls_is_what_sslmode_says() {
    let mut lab = Lab::start("pgtls");
    let data = lab.pair.primary().data();
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name).display().to_string();
    for (name, host) in [("right", "10.0.10.2"), ("wrong", "10.0.10.9")] {
        openssl(
            files.path(),
            &format!(
                "req -new -x509 -days 2 -nodes -newkey rsa:2048 -subj /CN={host} \
                 -addext subjectAltName=IP:{host} -keyout {name}.key -out {name}.crt"
            ),
        );
    }
    let install = |lab: &mut Lab, name: &str| {
        for (kind, mode) in [("key", "600"), ("crt", "644")] {
            let mut install = Command::new("install");
            install
                .args(["-o", "postgres", "-g", "postgres", "-m", mode])
                .arg(path(&format!("{name}.{kind}")))
                .arg(data.join(format!("server.{kind}")));
            command::output(&mut install).unwrap();
        }
        lab.psql("alter system set ssl = on");
        lab.restart_primary();
    };
    let dsn = |rest: &str| format!("host=10.0.10.2 user=postgres {rest}");
    let refused = |lab: &Lab, rest: &str, word: &str| refused_by_tls(lab, &dsn(rest), word);

    // A server without TLS.
    refused(&lab, "sslmode=require", "10.0.10.2:5432");
    in_by(&lab, &dsn("sslmode=prefer"), &[]);

    install(&mut lab, "right");
    lab.allow("hostssl all all 10.0.10.0/24 trust\nhostnossl all postgres 10.0.10.2/32 reject");
    let (right, wrong) = (path("right.crt"), path("wrong.crt"));
    for rest in [
        "sslmode=allow".to_owned(),
        "sslmode=prefer".to_owned(),
        "sslmode=require".to_owned(),
        format!("sslmode=verify-ca sslrootcert={right}"),
        format!("sslmode=verify-full sslrootcert={right}"),
        format!("sslmode=require sslrootcert={right} ssl_min_protocol_version=TLSv1.3"),
    ] {
        in_by(&lab, &dsn(&rest), &[]);
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        let rest = format!("sslmode={mode} sslrootcert={wrong}");
        refused(&lab, &rest, "certificate");
    }

    // What hangs is cancelled over TLS, too.
    let dsn_right = dsn(&format!("sslmode=verify-full sslrootcert={right}"));
    let mut tool = Watched::start(lab.primary(), &dsn_right, &["--commit-probe", "20"]);
    tool.await_line(&["streaming sync", "probe: ", " commits, p50 "]);
    let frozen = Frozen::new(lab.receiver()).unwrap();
    tool.await_line(&["commits in flight"]);
    tool.finish();
    let left = "select count(*) from pg_stat_activity where application_name = 'tracer'";
    assert_eq!(lab.psql(left), "0");
    drop(frozen);

    install(&mut lab, "wrong");
    in_by(
        &lab,
        &dsn(&format!("sslmode=verify-ca sslrootcert={wrong}")),
        &[],
    );
    let rest = format!("sslmode=verify-full sslrootcert={wrong}");
    refused(&lab, &rest, "certificate");
}
