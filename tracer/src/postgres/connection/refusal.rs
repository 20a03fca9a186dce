//! What a server, or a pooler in its place, says when it does not let us in.

use std::error::Error as _;

use tokio_postgres::error::SqlState;
use tracer_core::text;

use crate::postgres::connection::ConnectError;
use crate::postgres::connection::target::ServerPlace;

/// The longest that an error of a server's is shown.
const MAX_TEXT: usize = 300;

/// What the server said, or else why it did not; in one harmless line.
pub(super) fn described(error: &tokio_postgres::Error) -> String {
    let text = match (error.as_db_error(), error.source()) {
        (Some(said), _) => format!("{}: {}", said.severity(), said.message()),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    };
    text::harmless(&text, MAX_TEXT)
}

/// Why a login failed, and whether it may succeed with TLS instead of without, or the
/// other way round.
pub(super) fn of_login(error: &tokio_postgres::Error, place: &ServerPlace) -> (ConnectError, bool) {
    let said = described(error);
    let Some(code) = error.code() else {
        let tls = said.starts_with("error performing TLS handshake");
        let text = if said.contains("password missing") {
            format!(
                "{place} asks for a password, and there is none: set PGPASSWORD, or add a line to ~/.pgpass"
            )
        } else {
            format!("{place}: {said}")
        };
        let permanent = tls || text.contains("PGPASSWORD");
        return (ConnectError { text, permanent }, tls);
    };
    // No rule for this user without, or with, TLS.
    let by_rule = *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION;
    let parameter = unsupported_parameter(&said);
    let permanent = by_rule
        || *code == SqlState::INVALID_PASSWORD
        || *code == SqlState::INVALID_CATALOG_NAME
        || parameter.is_some();
    let mut text = format!("{place} refused the login: {said}");
    if let Some(parameter) = parameter {
        text += &remedy(parameter);
    }
    (ConnectError { text, permanent }, by_rule)
}

/// PgBouncer's words for what it does not pass on
/// (<https://github.com/pgbouncer/pgbouncer/blob/pgbouncer_1_18_0/src/client.c>).
fn unsupported_parameter(said: &str) -> Option<&str> {
    let (_, name) = said.split_once("unsupported startup parameter")?;
    // Later versions say "in options" and more in between.
    name.rsplit_once(": ").map(|(_, name)| name)
}

fn remedy(parameter: &str) -> String {
    match parameter {
        "client_encoding" | "application_name" => {
            format!(": a pooler; add {parameter} to its ignore_startup_parameters")
        }
        _ => ": a pooler, which takes no settings of a session: leave out `options` (PGOPTIONS), \
              or connect to the server itself"
            .to_owned(),
    }
}

/// Why the first question failed: PgBouncer's own console is taken for a database.
pub(super) fn of_first(trouble: ConnectError, place: &ServerPlace) -> ConnectError {
    if trouble.text.contains("use SHOW HELP") {
        return ConnectError::permanent(format!(
            "{place} answers with a pooler's console, which is not a database: name one behind it \
             (dbname=), or connect to the server itself"
        ));
    }
    trouble
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pooler_s_words_are_understood() {
        for (said, parameter) in [
            (
                "FATAL: unsupported startup parameter: options",
                Some("options"),
            ),
            (
                "FATAL: unsupported startup parameter in options: geqo",
                Some("geqo"),
            ),
            ("FATAL: too many connections", None),
        ] {
            assert_eq!(unsupported_parameter(said), parameter, "{said}");
        }
        assert!(remedy("geqo").contains("PGOPTIONS"));
    }
}
