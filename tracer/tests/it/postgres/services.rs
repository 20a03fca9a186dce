//! Service and password files: what `psql` takes of them, tracer takes, and what it
//! refuses is refused.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Output};

use crate::postgres::{login::in_by, watched::Lab};
use crate::support::program::PROGRAM;

const PASSWORD: &str = "a:b\\c \u{e9}";

fn psql(lab: &Lab, folder: &Path) -> Output {
    let mut psql = lab.primary().netns.command("psql");
    psql.args(["-XAtwc", "select current_user, inet_server_addr()"])
        .env("PGSERVICEFILE", folder.join("services"))
        .env("PGPASSFILE", folder.join("passwords"))
        .env("PGSERVICE", "lab");
    psql.output().unwrap()
}

#[test]
fn what_psql_takes_of_its_files_is_taken() {
    let lab = Lab::start("pgserv");
    lab.psql(&format!(
        "set password_encryption = 'scram-sha-256'; \
         create role watcher login password '{PASSWORD}' in role pg_monitor"
    ));
    lab.allow("host all watcher all scram-sha-256");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // Bytes that are no text, lines before and behind that make no sense, and
    // everything twice.
    let service = b"# caf\xe9\n[other]\nhost\n\xff=\n[lab] # it\r\n  host=10.0.10.2\r\n\
        host=10.0.10.9\nuser=watcher\nuser=nobody\n#user=\xe9\ndbname=postgres\n[lab]\nhost\n";
    fs::write(path("services"), service).unwrap();
    let escaped = PASSWORD.replace('\\', "\\\\").replace(':', "\\:");
    let long = vec![b'x'; 5_000];
    let passwords = [
        b"caf\xe9:*:*:*:no\n10.0.10.2:5433:*:*:no\n10.0.10.2:*:*:watcher2:no\n *:*:*:*:no\n",
        &long[..],
        b"\n10.0.10\\.2:*:*:w\\atcher:",
        escaped.as_bytes(),
        b":more\r\n*:*:*:*:no\n",
    ]
    .concat();
    fs::write(path("passwords"), passwords).unwrap();
    fs::set_permissions(path("passwords"), fs::Permissions::from_mode(0o600)).unwrap();

    let output = psql(&lab, folder.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.trim_end(), "watcher|10.0.10.2", "{output:?}");
    let (services, passwords) = (path("services"), path("passwords"));
    let variables = [
        ("PGSERVICEFILE", services.to_str().unwrap()),
        ("PGPASSFILE", passwords.to_str().unwrap()),
        ("PGSERVICE", "lab"),
    ];
    let seen = in_by(&lab, "", &variables);
    assert_eq!(seen.postgres().user.as_deref(), Some("watcher"));
    assert!(!seen.everything().contains(PASSWORD));

    // What would be another server, or none, is refused by both.
    let long = format!("host=10.0.10.2\n#{}", "x".repeat(1_022));
    for (rest, word) in [
        ("host = 10.0.10.2", "line 2"),
        ("host=10.0.10.2\n\nhots=db1", "line 4"),
        ("host=10.0.10.2\nport", "line 3"),
        ("host=10.0.10.2\nservice=other", "line 3"),
        // One that does not answer is passed over by libpq, and might answer the next time.
        ("host=10.0.10.2\nldaps://127.0.0.1:1/a?b?one?(c)", "LDAP"),
        (&long, "line 3"),
    ] {
        fs::write(&services, format!("[lab]\n{rest}\nuser=postgres\n")).unwrap();
        let theirs = psql(&lab, folder.path());
        assert!(!theirs.status.success(), "{rest}: {theirs:?}");
        let mut tracer = lab.primary().netns.command(PROGRAM);
        let ours = tracer
            .args(["run", "--all", "--pg", "service=lab"])
            .env("PGSERVICEFILE", &services)
            .output()
            .unwrap();
        let line = String::from_utf8(ours.stderr).unwrap();
        assert_eq!(ours.status.code(), Some(2), "{rest}: {line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.contains(word) && line.contains("services"), "{line}");
    }
    fs::remove_file(&services).unwrap();
    assert!(!psql(&lab, folder.path()).status.success());
}
