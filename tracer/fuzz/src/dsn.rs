//! Connection strings: `key=value` pairs and URIs.

use std::path::PathBuf;

use tracer::postgres::connection::dsn;
use tracer::postgres::connection::dsn::Settings;
use tracer::postgres::connection::target::{LibpqEnvironment, Target};

/// Stands for a password: it must not be told to anybody.
const SECRET: &str = "s3cret-that-stands-nowhere-else";
/// What names files, which are not looked for here.
const FILES: [&str; 5] = ["passfile", "service", "sslcert", "sslkey", "sslrootcert"];

/// The bytes are one connection string.
///
/// What is read of it, written in either form and read again is the same; and whatever is
/// made of it, the password is in no message.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(mut settings) = dsn::parse(text) else {
        return;
    };
    if settings.keys().all(|key| is_word(key)) {
        assert_eq!(dsn::parse(&pairs(&settings)).as_ref(), Ok(&settings));
    }
    // JDBC's name for another setting.
    if !settings.contains_key("ssl") && !settings.contains_key("requiressl") {
        assert_eq!(dsn::parse(&uri(&settings)).as_ref(), Ok(&settings));
    }
    if FILES.iter().any(|key| settings.contains_key(*key)) {
        return;
    }
    settings.insert("password".to_owned(), SECRET.to_owned());
    if !settings.keys().all(|key| is_word(key)) {
        return;
    }
    let around = LibpqEnvironment {
        variable: &|_| None,
        user: Some("me".to_owned()),
        home: None::<PathBuf>,
    };
    let told = match Target::resolve(&pairs(&settings), &around) {
        Ok(target) => {
            assert!(!target.places.is_empty());
            let known = target
                .places
                .iter()
                .filter_map(|place| place.password.as_ref());
            assert!(
                known
                    .clone()
                    .all(|known| known.reveal() == SECRET.as_bytes())
            );
            assert_eq!(known.count(), target.places.len());
            format!("{target} {target:?}")
        }
        Err(error) => format!("{error} {error:?}"),
    };
    assert!(!told.contains(SECRET), "{told}");
}

/// Whether it can be a keyword in front of a `=`.
fn is_word(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn pairs(settings: &Settings) -> String {
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
    let pairs = settings.iter();
    pairs
        .map(|(key, value)| format!("{key}='{}' ", quoted(value)))
        .collect()
}

fn uri(settings: &Settings) -> String {
    let encoded = |text: &str| -> String {
        let bytes = text.bytes();
        bytes.map(|byte| format!("%{byte:02x}")).collect()
    };
    let parameters = settings.iter();
    let parameters: Vec<String> = parameters
        .map(|(key, value)| format!("{}={}", encoded(key), encoded(value)))
        .collect();
    format!("postgresql://?{}", parameters.join("&"))
}
