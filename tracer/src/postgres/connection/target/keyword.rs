//! What a connection string may say, and what the environment adds to it.

use crate::postgres::connection::dsn::Settings;
use crate::postgres::connection::target::{LibpqEnvironment, TargetError, service};

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
    around: &LibpqEnvironment<'_>,
) -> Result<Settings, TargetError> {
    check_known(&settings)?;
    // A service comes before the environment.
    let named = settings.get("service").cloned();
    if let Some(name) = named.or_else(|| (around.variable)("PGSERVICE")) {
        service::add(&mut settings, &name, around, is_known)?;
    }
    for (key, variable) in UNDERSTOOD.into_iter().chain(REFUSED) {
        if let Some(value) = (around.variable)(variable) {
            settings.entry(key.to_owned()).or_insert(value);
        }
    }
    // An empty value is as good as none.
    settings.retain(|_, value| !value.is_empty());
    let set = |key: &str| settings.get(key).map(String::as_str);
    let refused = REFUSED.iter().find(|(key, _)| set(key).is_some());
    let unsupported = match (refused, set("gssencmode"), set("load_balance_hosts")) {
        (Some((key, _)), _, _) => key,
        (_, Some("require"), _) => "gssencmode=require",
        (_, _, None | Some("disable")) => return Ok(settings),
        _ => "load_balance_hosts",
    };
    Err(TargetError::Unsupported(unsupported))
}

pub(super) fn is_known(key: &str) -> bool {
    let mut listed = UNDERSTOOD.iter().chain(&REFUSED);
    IGNORED.contains(&key) || listed.any(|(known, _)| *known == key)
}

fn check_known(settings: &Settings) -> Result<(), TargetError> {
    match settings.keys().find(|key| !is_known(key)) {
        None => Ok(()),
        // A password with a space in it goes on as the next setting.
        Some(_) if settings.contains_key("password") => Err(TargetError::UnknownHidden),
        Some(key) => Err(TargetError::Unknown(key.escape_default().to_string())),
    }
}
