//! Service files, `pg_service.conf`, as libpq reads them: bytes, line by line, and no
//! further than the end of the section (`parseServiceFile()` in
//! <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/interfaces/libpq/fe-connect.c>).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::postgres::connection::dsn::Settings;
use crate::postgres::connection::target::{LibpqEnvironment, TargetError};

/// libpq's buffer: what of it a line fills, with its end, is too long. Bytes.
const MAX_LINE: usize = 1023;
/// Larger than any file of services; what is named may be a device. Bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Where Debian's libpq looks for the file of all.
const SYSTEM_FOLDER: &str = "/etc/postgresql-common";

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    TooLong,
    NoEquals,
    Unknown,
    Nested,
    Ldap,
    NotText,
}

impl Fault {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::TooLong => "is longer than libpq takes, 1022 bytes",
            Self::NoEquals => "has no `=`",
            Self::Unknown => {
                "sets something that libpq does not know; nothing may be around the `=`, \
                 and no space in front of it"
            }
            Self::Nested => "names a service, which libpq refuses within one",
            Self::Ldap => {
                "refers to an LDAP server, which tracer does not ask: write the settings \
                 themselves"
            }
            Self::NotText => "is not UTF-8: names and passwords of other encodings cannot be used",
        }
    }
}

/// Adds what a service says to what is not set yet. `known` says what is a keyword.
pub(super) fn add(
    settings: &mut Settings,
    name: &str,
    around: &LibpqEnvironment<'_>,
    known: impl Fn(&str) -> bool,
) -> Result<(), TargetError> {
    let named = (around.variable)("PGSERVICEFILE").map(PathBuf::from);
    let must = named.is_some();
    let system = (around.variable)("PGSYSCONFDIR").unwrap_or(SYSTEM_FOLDER.to_owned());
    let own = named.or_else(|| around.in_home(".pg_service.conf"));
    let files = [
        own.map(|path| (path, must)),
        Some((PathBuf::from(system).join("pg_service.conf"), false)),
    ];
    let mut looked = Vec::new();
    for (path, must) in files.into_iter().flatten() {
        // What is named has to be there, and what is there has to be readable.
        if must || path.exists() {
            let file = File::open(&path).map_err(|error| unread(&path, &error))?;
            let file = BufReader::new(file.take(MAX_FILE_BYTES));
            match section(file, name, settings, &known) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(SectionError::Line(number, fault)) => {
                    return Err(TargetError::ServiceLine {
                        path: path.display().to_string(),
                        number,
                        what: fault.words(),
                    });
                }
                Err(SectionError::Read(error)) => return Err(unread(&path, &error)),
            }
        }
        looked.push(path.display().to_string());
    }
    Err(TargetError::Service {
        name: name.to_owned(),
        looked: looked.join(", "),
    })
}

fn unread(path: &Path, error: &io::Error) -> TargetError {
    TargetError::ServiceFile {
        path: path.display().to_string(),
        error: error.to_string(),
    }
}

/// Why a file cannot be used.
#[derive(Debug)]
pub(super) enum SectionError {
    Line(usize, Fault),
    Read(io::Error),
}

/// Adds a section to what is not set yet: the first value of a keyword counts. False if
/// there is no such section.
pub(super) fn section(
    mut file: impl BufRead,
    name: &str,
    settings: &mut Settings,
    known: impl Fn(&str) -> bool,
) -> Result<bool, SectionError> {
    let header = [b"[", name.as_bytes(), b"]"].concat();
    let mut within = false;
    let mut buffer = Vec::with_capacity(MAX_LINE);
    for number in 1.. {
        buffer.clear();
        let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        let line = (&mut file).take(limit).read_until(b'\n', &mut buffer);
        if line.map_err(SectionError::Read)? == 0 {
            break;
        }
        let bad = |fault| Err(SectionError::Line(number, fault));
        // To libpq, a NUL byte ends what it has read of a line.
        let line = buffer.split(|byte| *byte == 0).next().unwrap_or_default();
        if line.len() >= MAX_LINE {
            return bad(Fault::TooLong);
        }
        let line = trimmed(line);
        match line {
            [] | [b'#', ..] => continue,
            [b'[', ..] if within => break,
            [b'[', ..] => {
                within = line.starts_with(&header);
                continue;
            }
            _ if !within => continue,
            _ if line.starts_with(b"ldap") => return bad(Fault::Ldap),
            _ => {}
        }
        let mut parts = line.splitn(2, |byte| *byte == b'=');
        let (Some(key), Some(value)) = (parts.next(), parts.next()) else {
            return bad(Fault::NoEquals);
        };
        if key == b"service" {
            return bad(Fault::Nested);
        }
        let Some(key) = std::str::from_utf8(key).ok().filter(|key| known(key)) else {
            return bad(Fault::Unknown);
        };
        if !settings.contains_key(key) {
            let Ok(value) = std::str::from_utf8(value) else {
                return bad(Fault::NotText);
            };
            settings.insert(key.to_owned(), value.to_owned());
        }
    }
    Ok(within)
}

/// Without what libpq's `isspace()` takes for space at both ends.
fn trimmed(line: &[u8]) -> &[u8] {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let Some(begin) = line.iter().position(|byte| !space(byte)) else {
        return &[];
    };
    let end = line.iter().rposition(|byte| !space(byte)).unwrap_or(begin);
    line.get(begin..=end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = Vec<(String, String)>;

    fn read(file: &[u8]) -> Result<Option<Pairs>, (usize, Fault)> {
        let mut settings = Settings::new();
        settings.insert("user".to_owned(), "given".to_owned());
        let known = |key: &str| ["host", "port", "user", "dbname", "password"].contains(&key);
        match section(file, "b", &mut settings, known) {
            Ok(found) => Ok(found.then(|| settings.into_iter().collect())),
            Err(SectionError::Line(number, fault)) => Err((number, fault)),
            Err(SectionError::Read(error)) => panic!("{error}"),
        }
    }

    fn host(file: &[u8]) -> Option<String> {
        let found = read(file).unwrap()?;
        let mut found = found.into_iter();
        Some(found.find(|(key, _)| key == "host")?.1)
    }

    #[test]
    fn a_section_ends_at_the_next_and_the_first_value_counts() {
        let text = b"[a]\nhost=one\n# no\n[b] and more\n host=two\nhost=three\nuser=me\n\
                     port=5433\r\n[c]\nhost=four\n[b]\ndbname=late\n";
        let expected = [("host", "two"), ("port", "5433"), ("user", "given")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(read(text).unwrap().unwrap(), expected);
        assert_eq!(read(b"[a]\nhost=one\n[bb]\nhost=two\n[b").unwrap(), None);
        assert_eq!(read(b"").unwrap(), None);
    }

    #[test]
    fn values_are_as_they_are_written() {
        for (line, value) in [
            (&b"host= two "[..], " two"),
            (b"host=t'w'o=x", "t'w'o=x"),
            (b"host=two # three", "two # three"),
            (b"\x0b\x0chost=two\t\x0b", "two"),
            (b"host=tw\0o", "tw"),
            (b"host=", ""),
        ] {
            let file = [b"[b]\n", line].concat();
            assert_eq!(
                host(&file).as_deref(),
                Some(value),
                "{}",
                line.escape_ascii()
            );
        }
    }

    #[test]
    fn what_libpq_refuses_is_refused_with_its_line() {
        let long = [b"[b]\nhost=", &*vec![b'x'; 1017], b"\n"].concat();
        let longest = [b"[b]\nhost=", &*vec![b'x'; 1016], b"\n"].concat();
        assert_eq!(host(&longest).map(|host| host.len()), Some(1016));
        for (file, number, fault) in [
            (&long[..], 2, Fault::TooLong),
            (b"[b]\n\nhost", 3, Fault::NoEquals),
            (b"[b]\nhost = two", 2, Fault::Unknown),
            (b"[b]\nhots=two", 2, Fault::Unknown),
            (b"[b]\nservice=a", 2, Fault::Nested),
            (b"[b]\nldap://x/y?z?one?(w)", 2, Fault::Ldap),
            (b"[b]\nhost=caf\xe9", 2, Fault::NotText),
        ] {
            assert_eq!(read(file), Err((number, fault)), "{}", file.escape_ascii());
        }
        // Long lines count wherever they are, and everything else only within.
        let before = [&*vec![b'x'; 1023], b"\n[b]\nhost=two"].concat();
        assert_eq!(read(&before), Err((1, Fault::TooLong)));
        let around = b"# caf\xe9\n[a]\nhost\n\xff\nldap://\n[b]\nhost=two\nuser=\xe9\n[c]\nhost";
        assert_eq!(host(around).as_deref(), Some("two"));
    }
}
