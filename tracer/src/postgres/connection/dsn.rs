//! A connection string, as libpq reads it: `key=value` pairs or a URI.
//!
//! What was typed may hold a password anywhere, also by mistake, so that no error
//! repeats a value.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

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
    pub(crate) fn reveal(&self) -> &str {
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
    /// `%` and digits that are no text.
    #[error(
        "a part of the URI is not UTF-8 behind its `%`; names and passwords of other encodings cannot be used"
    )]
    NotText,
    /// More than one `@`.
    #[error("the URI has more than one `@` before the host; in a name or a password it is `%40`")]
    At,
    /// An `@` where none is meant: the password before it was cut off too early.
    #[error(
        "the URI has an `@` behind its first `/`; in a password `/` is `%2F`, and in a database's name `@` is `%40` and `/` is `%2F`"
    )]
    LateAt,
    /// An open bracket.
    #[error(
        "the URI has a `[` that begins no `[IPv6 address]`, or something else than a port behind it"
    )]
    Bracket,
    /// A parameter without a value.
    #[error("parameter {0} of the URI has no `=`")]
    Parameter(usize),
    /// A parameter with two.
    #[error("parameter {0} of the URI has more than one `=`; in a value it is `%3D`")]
    Equals(usize),
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
    let mut rest = text.trim_start_matches(is_space);
    let mut numbers = 1..;
    while !rest.is_empty() {
        let number = numbers.next().unwrap_or(usize::MAX);
        let key_end = rest
            .find(|c: char| c == '=' || is_space(c))
            .ok_or(DsnError::NoEquals(number))?;
        let (key, after) = rest.split_at(key_end);
        let after = after
            .trim_start_matches(is_space)
            .strip_prefix('=')
            .ok_or(DsnError::NoEquals(number))?
            .trim_start_matches(is_space);
        let (value, after) = value(after).ok_or(DsnError::OpenQuote(number))?;
        store(&mut settings, key, value);
        rest = after.trim_start_matches(is_space);
    }
    Ok(settings)
}

/// What libpq's `isspace()` takes for one.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t'..='\r')
}

/// One value, and what follows it; `None` if its quote is left open.
fn value(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut characters = text.strip_prefix('\'').unwrap_or(text).chars();
    while let Some(character) = characters.next() {
        match character {
            // A backslash at the very end stands for nothing, as in libpq.
            '\\' => value.extend(characters.next()),
            '\'' if quoted => return Some((value, characters.as_str())),
            // More space may follow: whoever reads on passes over it.
            _ if !quoted && is_space(character) => return Some((value, characters.as_str())),
            _ => value.push(character),
        }
    }
    (!quoted).then_some((value, ""))
}

/// What follows the scheme of a URI, cut where libpq cuts it (`conninfo_uri_parse_options()`
/// in <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/interfaces/libpq/fe-connect.c>):
/// an `@` ends name and password if no `/` comes before it, and is one like any other
/// character behind the host.
fn uri(text: &str) -> Result<Settings, DsnError> {
    let mut settings = Settings::new();
    let login = text
        .split_once('@')
        .filter(|(login, _)| !login.contains('/'));
    let rest = match login {
        None => text,
        Some((login, rest)) => {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            put(&mut settings, "user", user)?;
            put(&mut settings, "password", password)?;
            rest
        }
    };
    let (hosts, ports, rest) = places(rest)?;
    // libpq takes these for names of hosts and ports, which they never are: what was
    // meant is a password, of which a part would be shown.
    if hosts
        .iter()
        .any(|host| host.rfind('@').is_some_and(|at| at > 0))
    {
        return Err(DsnError::At);
    }
    if ports.iter().any(|port| port.contains('@')) {
        return Err(DsnError::At);
    }
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let database = path.strip_prefix('/').unwrap_or(path);
    let is_port = |port: &&str| port.is_empty() || port.parse::<u16>().is_ok();
    if let Some((_, behind)) = database.split_once('@')
        && (behind.contains('/') || !ports.iter().all(is_port))
    {
        return Err(DsnError::LateAt);
    }
    put(&mut settings, "host", &hosts.join(","))?;
    put(&mut settings, "port", &ports.join(","))?;
    put(&mut settings, "dbname", database)?;
    put_parameters(&mut settings, parameters)?;
    Ok(settings)
}

/// Hosts and their ports, either of which may be missing, and what follows them:
/// `host:port,[::1]:port`.
fn places(text: &str) -> Result<(Vec<&str>, Vec<&str>, &str), DsnError> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    let mut rest = text;
    loop {
        let (host, after) = match rest.strip_prefix('[') {
            Some(bracketed) => {
                let (host, after) = bracketed.split_once(']').ok_or(DsnError::Bracket)?;
                if host.is_empty() || !(after.is_empty() || after.starts_with([':', '/', '?', ',']))
                {
                    return Err(DsnError::Bracket);
                }
                (host, after)
            }
            None => rest.split_at(rest.find([':', '/', '?', ',']).unwrap_or(rest.len())),
        };
        let (port, after) = match after.strip_prefix(':') {
            Some(port) => port.split_at(port.find(['/', '?', ',']).unwrap_or(port.len())),
            None => ("", after),
        };
        hosts.push(host);
        ports.push(port);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok((hosts, ports, after)),
        }
    }
}

fn put_parameters(settings: &mut Settings, text: &str) -> Result<(), DsnError> {
    let mut rest = text;
    let mut numbers = 1..;
    while !rest.is_empty() {
        let number = numbers.next().unwrap_or(usize::MAX);
        let (parameter, after) = rest.split_once('&').unwrap_or((rest, ""));
        let (key, value) = parameter
            .split_once('=')
            .ok_or(DsnError::Parameter(number))?;
        if value.contains('=') {
            return Err(DsnError::Equals(number));
        }
        match (decode(key)?.as_str(), decode(value)?) {
            // What JDBC calls it.
            ("ssl", value) if value == "true" => {
                settings.insert("sslmode".to_owned(), "require".to_owned());
            }
            (key, value) => store(settings, key, value),
        }
        rest = after;
    }
    Ok(())
}

/// Under the name of today: `conninfo_storeval()` in the same file.
fn store(settings: &mut Settings, key: &str, value: String) {
    let (key, value) = match key {
        "requiressl" if value.starts_with('1') => ("sslmode", "require".to_owned()),
        "requiressl" => ("sslmode", "prefer".to_owned()),
        key => (key, value),
    };
    settings.insert(key.to_owned(), value);
}

fn put(settings: &mut Settings, key: &str, encoded: &str) -> Result<(), DsnError> {
    if !encoded.is_empty() {
        settings.insert(key.to_owned(), decode(encoded)?);
    }
    Ok(())
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
        let (digits, after) = rest.split_at_checked(2).ok_or(DsnError::Percent)?;
        let byte = std::str::from_utf8(digits)
            .ok()
            .filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|two| u8::from_str_radix(two, 16).ok())
            .ok_or(DsnError::Percent)?;
        if byte == 0 {
            return Err(DsnError::Nul);
        }
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| DsnError::NotText)
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
        assert_eq!(
            read("requiressl=1 host=db1"),
            expected(&[("sslmode", "require"), ("host", "db1")])
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
            expected(&[("host", "db1,db2"), ("port", ",")])
        );
    }

    /// With what libpq 15 reads (`PQconninfoParse()`).
    #[test]
    fn an_at_sign_is_what_libpq_takes_it_for() {
        for (text, settings) in [
            (
                "postgresql://db1/app?user=a@b",
                &[("dbname", "app"), ("host", "db1"), ("user", "a@b")][..],
            ),
            (
                "postgresql://me@db1/app?password=p@ss",
                &[
                    ("dbname", "app"),
                    ("host", "db1"),
                    ("password", "p@ss"),
                    ("user", "me"),
                ],
            ),
            (
                "postgresql:///app?host=@abstract",
                &[("dbname", "app"), ("host", "@abstract")],
            ),
            ("postgresql://@abstract", &[("host", "abstract")]),
            (
                "postgresql://me@@abstract/app",
                &[("dbname", "app"), ("host", "@abstract"), ("user", "me")],
            ),
            ("postgresql:///a@b", &[("dbname", "a@b")]),
            (
                "postgresql://db1:1/a@b",
                &[("dbname", "a@b"), ("host", "db1"), ("port", "1")],
            ),
            // Without a `/` before it, all before the first `@` is name and password.
            (
                "postgresql://db1?user=a@b",
                &[("host", "b"), ("user", "db1?user=a")],
            ),
            (
                "postgresql://me:s?e#c,[r@db1",
                &[("host", "db1"), ("password", "s?e#c,[r"), ("user", "me")],
            ),
        ] {
            assert_eq!(read(text), expected(settings), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_refused_without_repeating_it() {
        for (text, error) in [
            ("db1", DsnError::NoEquals(1)),
            ("host=db1 secret", DsnError::NoEquals(2)),
            ("host=db1 password='secret", DsnError::OpenQuote(2)),
            ("postgres://me:sec@ret@db1/", DsnError::At),
            ("postgres://me:sec/ret@db1/", DsnError::LateAt),
            ("postgres://me:sec/1@db1/app", DsnError::LateAt),
            ("postgres://me:12/sec@db1/app", DsnError::LateAt),
            ("postgres://me:sec@ret:1@db1/app", DsnError::At),
            ("postgres://me:a@b:sec@db1/app", DsnError::At),
            ("postgres://me:secret%@db1/", DsnError::Percent),
            ("postgres://me:secret%+1@db1/", DsnError::Percent),
            ("postgres://me:secret%00@db1/", DsnError::Nul),
            ("postgres://me:secret%e4@db1/", DsnError::NotText),
            ("postgres://[fd00::2/", DsnError::Bracket),
            ("postgres://[]/", DsnError::Bracket),
            ("postgres://[fd00::2]5432/", DsnError::Bracket),
            ("postgres://db1/?secret", DsnError::Parameter(1)),
            ("postgres://db1/?user=me&&port=1", DsnError::Parameter(2)),
            ("postgres://db1/?password=sec=ret", DsnError::Equals(1)),
            ("host=a\0b", DsnError::Nul),
        ] {
            let found = parse(text).expect_err(text);
            assert_eq!(found, error, "{text}");
            assert!(!found.to_string().contains("sec"), "{found}");
        }
    }
}
