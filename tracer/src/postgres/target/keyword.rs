//! What a connection string may say, and what the environment adds to it.

use std::path::PathBuf;

use super::super::dsn::Settings;
use super::{Surroundings, TargetError};

/// What is understood, with libpq's variable of the same meaning.
const UNDERSTOOD: [(&str, &str); 20] = [
    ("service", "PGSERVICE"),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("options", "PGOPTIONS"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    // These two ask for something else than the default only by other values.
    ("gssencmode", "PGGSSENCMODE"),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
];

/// What makes no difference here: the session names itself, and dead
/// connections are noticed by deadlines.
const IGNORED: [&str; 12] = [
    "application_name",
    "fallback_application_name",
    "client_encoding",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "krbsrvname",
    "gsslib",
    "sslcompression",
    "sslsni",
];

/// What protects somebody, and is not done here.
const REFUSED: [(&str, &str); 9] = [
    ("requirepeer", "PGREQUIREPEER"),
    ("require_auth", "PGREQUIREAUTH"),
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("sslpassword", ""),
    ("sslcertmode", "PGSSLCERTMODE"),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    ("gssdelegation", "PGGSSDELEGATION"),
    ("replication", ""),
];

/// Adds what the environment and a service file say, and refuses what is not
/// understood.
pub(super) fn complete(
    mut settings: Settings,
    around: &Surroundings<'_>,
) -> Result<Settings, TargetError> {
    check_known(&settings)?;
    // A service comes before the environment.
    let service = settings.get("service").cloned();
    if let Some(name) = service.or_else(|| (around.variable)("PGSERVICE")) {
        for (key, value) in service_settings(&name, around)? {
            settings.entry(key).or_insert(value);
        }
        check_known(&settings)?;
    }
    for (key, variable) in UNDERSTOOD.into_iter().chain(REFUSED) {
        if let Some(value) = (around.variable)(variable) {
            settings.entry(key.to_owned()).or_insert(value);
        }
    }
    // An empty value is as good as none.
    settings.retain(|_, value| !value.is_empty());
    for (key, _) in REFUSED {
        if settings.contains_key(key) {
            return Err(TargetError::Unsupported(key));
        }
    }
    if settings.get("gssencmode").is_some_and(|v| v == "require") {
        return Err(TargetError::Unsupported("gssencmode=require"));
    }
    if settings
        .get("load_balance_hosts")
        .is_some_and(|v| v != "disable")
    {
        return Err(TargetError::Unsupported("load_balance_hosts"));
    }
    Ok(settings)
}

fn check_known(settings: &Settings) -> Result<(), TargetError> {
    let known = |key: &str| {
        let listed = UNDERSTOOD.iter().chain(&REFUSED);
        IGNORED.contains(&key) || listed.into_iter().any(|(known, _)| *known == key)
    };
    match settings.keys().find(|key| !known(key)) {
        None => Ok(()),
        // A password with a space in it goes on as the next setting.
        Some(_) if settings.contains_key("password") => Err(TargetError::UnknownHidden),
        Some(key) => Err(TargetError::Unknown(key.escape_default().to_string())),
    }
}

/// The section of a service file
/// ([libpq](https://www.postgresql.org/docs/current/libpq-pgservice.html)).
fn service_settings(name: &str, around: &Surroundings<'_>) -> Result<Settings, TargetError> {
    let system = (around.variable)("PGSYSCONFDIR").unwrap_or("/etc/postgresql-common".to_owned());
    let files = [
        (around.variable)("PGSERVICEFILE")
            .map(PathBuf::from)
            .or_else(|| around.in_home(".pg_service.conf")),
        Some(PathBuf::from(system).join("pg_service.conf")),
    ];
    let files: Vec<PathBuf> = files.into_iter().flatten().collect();
    for file in &files {
        if let Ok(text) = std::fs::read_to_string(file)
            && let Some(found) = section(&text, name)
        {
            return Ok(found);
        }
    }
    let looked: Vec<_> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    Err(TargetError::Service {
        name: name.to_owned(),
        looked: looked.join(", "),
    })
}

fn section(text: &str, name: &str) -> Option<Settings> {
    let header = format!("[{name}]");
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| *line == header)?;
    let within = lines.take_while(|line| !line.starts_with('['));
    let pairs = within
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='));
    Some(
        pairs
            .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_at_the_next() {
        let text = "[a]\nhost=one\n# no\n[b]\n host = two\nport=5433\n[c]\nhost=three\n";
        let found = section(text, "b").unwrap();
        assert_eq!(found.get("host").map(String::as_str), Some("two"));
        assert_eq!(found.get("port").map(String::as_str), Some("5433"));
        assert_eq!(section(text, "d"), None);
    }
}
