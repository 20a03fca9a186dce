//! Connection strings and environments, and what they mean together.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;

use crate::postgres::connection::target::*;

fn resolve(text: &str, variables: &[(&str, &str)]) -> Result<Target, TargetError> {
    resolve_at(text, variables, Path::new("/nonexistent"))
}

fn resolve_at(text: &str, variables: &[(&str, &str)], home: &Path) -> Result<Target, TargetError> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    let around = LibpqEnvironment {
        variable: &|name| variables.get(name).map(|value| (*value).to_owned()),
        user: Some("root".to_owned()),
        home: Some(home.to_owned()),
    };
    Target::resolve(text, &around)
}

fn passwords(target: &Target) -> Vec<Option<&[u8]>> {
    target
        .places
        .iter()
        .map(|place| place.password.as_ref().map(Secret::reveal))
        .collect()
}

#[test]
fn the_environment_fills_what_the_string_leaves_open() {
    let variables = [
        ("PGHOST", "db1,db2"),
        ("PGPORT", "5433"),
        ("PGUSER", "env"),
        ("PGPASSWORD", "secret"),
        ("PGSSLMODE", "disable"),
    ];
    let target = resolve("user=me", &variables).unwrap();
    assert_eq!(
        target.to_string(),
        "db1:5433,db2:5433 user=me dbname=me sslmode=disable"
    );
    assert_eq!(passwords(&target), [Some(&b"secret"[..]), Some(b"secret")]);
    assert!(!format!("{target:?}").contains("secret"));
}

#[test]
fn without_anything_it_is_the_local_socket_as_oneself() {
    let target = resolve("", &[]).unwrap();
    assert!(matches!(target.places[0].route, Route::Unix(_)));
    assert_eq!(
        (target.user.as_str(), target.dbname.as_str()),
        ("root", "root")
    );
    assert_eq!(target.tls.mode, SslMode::Prefer);
}

#[test]
fn a_host_with_an_address_is_not_looked_up() {
    let target = resolve("host=db1 hostaddr=fd00::2", &[]).unwrap();
    let expected = Route::Tcp {
        host: "db1".to_owned(),
        address: Some("fd00::2".parse().unwrap()),
    };
    assert_eq!(target.places[0].route, expected);
    let target = resolve("hostaddr=fd00::2", &[]).unwrap();
    assert_eq!(target.places[0].to_string(), "[fd00::2]:5432");
    assert_eq!(
        resolve("host=a,b port=1,2,3", &[]).unwrap_err(),
        TargetError::Counts("port")
    );
}

#[test]
fn the_password_file_is_asked_for_each_server() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".pgpass");
    std::fs::write(&path, "db1:*:*:me:one\n*:5433:*:me:two\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let target = resolve_at("host=db1,db2 port=5432,5433 user=me", &[], home.path()).unwrap();
    assert_eq!(passwords(&target), [Some(&b"one"[..]), Some(b"two")]);
    let other = [("PGPASSFILE", "/nonexistent/pgpass")];
    let target = resolve_at("host=db1 user=me", &other, home.path()).unwrap();
    assert_eq!(passwords(&target), [None]);
}

#[test]
fn a_service_comes_before_the_environment() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".pg_service.conf");
    std::fs::write(&path, "[lab]\nhost=db1\nuser=service\n").unwrap();
    let variables = [("PGHOST", "db9"), ("PGDATABASE", "app")];
    let target = resolve_at("service=lab user=me", &variables, home.path()).unwrap();
    assert_eq!(
        target.to_string(),
        "db1:5432 user=me dbname=app sslmode=prefer"
    );
    let error = resolve_at("service=no", &[], home.path()).unwrap_err();
    assert!(error.to_string().contains("pg_service.conf"), "{error}");
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    for (text, word) in [
        ("requirepeer=postgres", "requirepeer"),
        ("sslcrl=/x", "sslcrl"),
        ("gssencmode=require", "gssencmode"),
        ("sslmode=perhaps", "perhaps"),
        ("sslmode=verify-full host=db1", "root.crt"),
        (
            "sslmode=verify-ca sslrootcert=/nonexistent.crt",
            "/nonexistent.crt",
        ),
        ("sslmode=require sslrootcert=system", "verify-full"),
        ("port=0", "`0`"),
        ("port=70000", "70000"),
        ("hostaddr=db1", "db1"),
        ("connect_timeout=soon", "soon"),
        ("target_session_attrs=best", "best"),
        ("hots=db1", "hots"),
    ] {
        let message = resolve(text, &[]).expect_err(text).to_string();
        assert!(
            message.starts_with("--pg: ") && message.contains(word),
            "{message}"
        );
    }
    assert!(resolve("", &[("PGREQUIREPEER", "postgres")]).is_err());
}

#[test]
fn a_password_with_a_space_is_not_repeated() {
    let error = resolve("password=top secret=1 host=db1", &[]).unwrap_err();
    assert_eq!(error, TargetError::UnknownHidden);
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn waiting_for_a_connection_is_bounded() {
    let limit = |text| resolve(text, &[]).unwrap().connect_limit;
    assert_eq!(limit("connect_timeout=0"), CONNECTING);
    assert_eq!(limit("connect_timeout=-1"), CONNECTING);
    assert_eq!(limit("connect_timeout=1"), Duration::from_secs(2));
    assert_eq!(limit("connect_timeout=999"), Duration::from_secs(60));
}
