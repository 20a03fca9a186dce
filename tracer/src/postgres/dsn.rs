//! A connection string, as libpq reads it: `key=value` pairs or a URI.
//!
//! What was typed may hold a password anywhere, also by mistake, so that no error
//! repeats a value.

use std::collections::BTreeMap;
use std::fmt;

/// The settings of a connection string by their keywords.
pub type Settings = BTreeMap<String, String>;

/// A connection string as it was typed: it shows itself to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Typed(String);

impl From<String> for Typed {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Typed {
    /// The text itself, password and all.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A connection string that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DsnError {
    /// A word without a value.
    #[error(
        "setting {0} has no `=`; write `host=db1 user=me dbname=app`, or postgresql://me@db1/app"
    )]
    NoEquals(usize),
    /// An open quote.
    #[error("the value of setting {0} begins with a quote that nothing closes")]
    OpenQuote(usize),
    /// A NUL byte, which no server takes.
    #[error("it holds a NUL character")]
    Nul,
    /// `%` and something else.
    #[error("the URI has a `%` that two hexadecimal digits do not follow; a `%` itself is `%25`")]
    Percent,
    /// More than one `@`.
    #[error("the URI has more than one `@` before the host; in a name or a password it is `%40`")]
    At,
    /// An `@` where none can be: the password before it was cut off too early.
    #[error(
        "the URI has an `@` behind its first `/` or `?`; in a password these are `%2F` and `%3F`, and an `@` in a name is `%40`"
    )]
    LateAt,
    /// An open bracket.
    #[error("the URI has a `[` before an IPv6 address and no `]` after it")]
    Bracket,
    /// A parameter without a value.
    #[error("parameter {0} of the URI has no `=`")]
    Parameter(usize),
}

/// Reads a connection string. The keywords are not judged here.
///
/// # Errors
/// If it is neither form.
pub fn parse(text: &str) -> Result<Settings, DsnError> {
    if text.contains('\0') {
        return Err(DsnError::Nul);
    }
    match ["postgresql://", "postgres://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
    {
        Some(rest) => uri(rest),
        None => pairs(text),
    }
}

/// `key = value`, `key='it''s not so: \' and \\ are escaped'`.
fn pairs(text: &str) -> Result<Settings, DsnError> {
    let mut settings = Settings::new();
    let mut rest = text.trim_start();
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let key_end = rest
            .find(|c: char| c == '=' || c.is_whitespace())
            .ok_or(DsnError::NoEquals(number))?;
        let (key, after) = rest.split_at(key_end);
        let after = after
            .trim_start()
            .strip_prefix('=')
            .ok_or(DsnError::NoEquals(number))?
            .trim_start();
        let (value, after) = value(after).ok_or(DsnError::OpenQuote(number))?;
        settings.insert(key.to_owned(), value);
        rest = after.trim_start();
    }
    Ok(settings)
}

/// One value, and what follows it; `None` if its quote is left open.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.char_indices().skip(usize::from(quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            // A backslash at the very end stands for nothing, as in libpq.
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Some((value, &text[at + 1..])),
            _ if !quoted && character.is_whitespace() => return Some((value, &text[at..])),
            _ => value.push(character),
        }
    }
    (!quoted).then_some((value, ""))
}

/// What follows the scheme of a URI.
fn uri(text: &str) -> Result<Settings, DsnError> {
    let mut settings = Settings::new();
    let (text, parameters) = text.split_once('?').unwrap_or((text, ""));
    let (authority, database) = text.split_once('/').unwrap_or((text, ""));
    // What looks like hosts and parameters is then a part of the password.
    if database.contains('@') || parameters.contains('@') {
        return Err(DsnError::LateAt);
    }
    let places = match authority.split_once('@') {
        None => authority,
        Some((_, places)) if places.contains('@') => return Err(DsnError::At),
        Some((login, places)) => {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            put(&mut settings, "user", user)?;
            put(&mut settings, "password", password)?;
            places
        }
    };
    let mut hosts = Vec::new();
    let mut ports = Vec::new();
    for place in places.split(',') {
        let (host, port) = split_port(place)?;
        hosts.push(decode(host)?);
        ports.push(decode(port)?);
    }
    put_list(&mut settings, "host", &hosts);
    put_list(&mut settings, "port", &ports);
    put(&mut settings, "dbname", database)?;
    for (index, parameter) in parameters.split('&').enumerate() {
        if parameter.is_empty() {
            continue;
        }
        let (key, value) = parameter
            .split_once('=')
            .ok_or(DsnError::Parameter(index + 1))?;
        match (decode(key)?.as_str(), decode(value)?) {
            // What JDBC calls it.
            ("ssl", value) if value == "true" => {
                settings.insert("sslmode".to_owned(), "require".to_owned());
            }
            (key, value) => {
                settings.insert(key.to_owned(), value);
            }
        }
    }
    Ok(settings)
}

/// `host:port`, `[::1]:port`; either may be missing.
fn split_port(place: &str) -> Result<(&str, &str), DsnError> {
    if let Some(bracketed) = place.strip_prefix('[') {
        let (host, after) = bracketed.split_once(']').ok_or(DsnError::Bracket)?;
        return Ok((host, after.strip_prefix(':').unwrap_or(after)));
    }
    Ok(place.split_once(':').unwrap_or((place, "")))
}

fn put(settings: &mut Settings, key: &str, encoded: &str) -> Result<(), DsnError> {
    if !encoded.is_empty() {
        settings.insert(key.to_owned(), decode(encoded)?);
    }
    Ok(())
}

fn put_list(settings: &mut Settings, key: &str, values: &[String]) {
    if values.iter().any(|value| !value.is_empty()) {
        settings.insert(key.to_owned(), values.join(","));
    }
}

fn decode(text: &str) -> Result<String, DsnError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = rest.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits
            .filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|two| u8::from_str_radix(two, 16).ok())
            .ok_or(DsnError::Percent)?;
        if byte == 0 {
            return Err(DsnError::Nul);
        }
        bytes.push(byte);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| DsnError::Percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text).expect(text).into_iter().collect()
    }

    fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let mut pairs: Vec<_> = pairs.iter().map(owned).collect();
        pairs.sort();
        pairs
    }

    #[test]
    fn pairs_are_quoted_and_escaped_as_libpq_does() {
        assert_eq!(
            read(r"host = db1 user=me password='it\'s a\\b' dbname= application_name=''"),
            expected(&[
                ("host", "db1"),
                ("user", "me"),
                ("password", r"it's a\b"),
                ("dbname", "application_name=''"),
            ])
        );
        assert_eq!(
            read(r"  user=a\ b port='5433'  "),
            expected(&[("user", "a b"), ("port", "5433")])
        );
        assert_eq!(read(" "), expected(&[]));
    }

    #[test]
    fn a_uri_may_name_several_hosts_and_any_parameter() {
        assert_eq!(
            read(
                "postgresql://me:p%40ss@db1:5433,[fd00::2]:5434/app?sslmode=require&connect_timeout=3"
            ),
            expected(&[
                ("user", "me"),
                ("password", "p@ss"),
                ("host", "db1,fd00::2"),
                ("port", "5433,5434"),
                ("dbname", "app"),
                ("sslmode", "require"),
                ("connect_timeout", "3"),
            ])
        );
        assert_eq!(
            read("postgres://%2Fvar%2Frun%2Fpostgresql/app?user=me&ssl=true"),
            expected(&[
                ("host", "/var/run/postgresql"),
                ("dbname", "app"),
                ("user", "me"),
                ("sslmode", "require"),
            ])
        );
        assert_eq!(read("postgresql://"), expected(&[]));
        assert_eq!(
            read("postgresql://db1,db2/"),
            expected(&[("host", "db1,db2"), ("port", ",")][..1])
        );
    }

    #[test]
    fn what_is_neither_is_refused_without_repeating_it() {
        for (text, error) in [
            ("db1", DsnError::NoEquals(1)),
            ("host=db1 secret", DsnError::NoEquals(2)),
            ("host=db1 password='secret", DsnError::OpenQuote(2)),
            ("postgres://me:sec@ret@db1/", DsnError::At),
            ("postgres://me:sec/ret@db1/", DsnError::LateAt),
            ("postgres://me:sec?ret=1@db1/", DsnError::LateAt),
            ("postgres://me:secret%@db1/", DsnError::Percent),
            ("postgres://me:secret%+1@db1/", DsnError::Percent),
            ("postgres://me:secret%00@db1/", DsnError::Nul),
            ("postgres://[fd00::2/", DsnError::Bracket),
            ("postgres://db1/?secret", DsnError::Parameter(1)),
            ("host=a\0b", DsnError::Nul),
        ] {
            let found = parse(text).expect_err(text);
            assert_eq!(found, error, "{text}");
            assert!(!found.to_string().contains("sec"), "{found}");
        }
    }
}
