//! The password file, `~/.pgpass`, as libpq reads it: bytes, line by line
//! (`passwordFromFile()` in
//! <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/interfaces/libpq/fe-connect.c>).

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What a line has to match.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Host, or `localhost` for the default socket.
    pub host: &'a str,
    /// Port.
    pub port: u16,
    /// Database.
    pub dbname: &'a str,
    /// User.
    pub user: &'a str,
}

/// Reads the file; `None` where there is none. The second is what to warn of.
pub(crate) fn read(path: &Path) -> (Option<Vec<u8>>, Option<String>) {
    let ignored = |why: &str| {
        let warning = format!("the password file {} is ignored: {why}", path.display());
        (None, Some(warning))
    };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return (None, None),
        Err(error) => return ignored(&error.to_string()),
    };
    if !metadata.is_file() {
        return ignored("it is not a plain file");
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return ignored("others may read or write it; `chmod 0600` it");
    }
    match fs::read(path) {
        Ok(bytes) => (Some(bytes), None),
        Err(error) => ignored(&error.to_string()),
    }
}

/// The password of the first line that matches, of any length; an empty one is none.
///
/// A line with a NUL byte matches nothing: libpq would read part of it as part of the
/// next line.
#[must_use]
pub fn find(file: &[u8], wanted: Wanted<'_>) -> Option<Vec<u8>> {
    let port = wanted.port.to_string();
    let fields = [wanted.host, &port, wanted.dbname, wanted.user];
    file.split(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b"#") && !line.contains(&0))
        .find_map(|line| {
            let end = line.iter().rposition(|byte| *byte != b'\r')?;
            let line = line.get(..=end)?;
            fields
                .iter()
                .try_fold(line, |rest, field| behind(rest, field.as_bytes()))
        })
        .map(password)
        .filter(|password| !password.is_empty())
}

/// What follows a field and its colon, if the field is this one or anything.
///
/// A colon ends a field only where all that is wanted was there: an address of IPv6
/// need not be escaped.
fn behind<'a>(line: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    if let Some(rest) = line.strip_prefix(b"*:") {
        return Some(rest);
    }
    let mut wanted = wanted.iter();
    let mut rest = line;
    loop {
        rest = match (rest, wanted.next()) {
            ([b':', rest @ ..], None) => return Some(rest),
            ([b'\\', byte, rest @ ..], Some(next)) if byte == next => rest,
            ([b'\\', ..], _) => return None,
            ([byte, rest @ ..], Some(next)) if byte == next => rest,
            _ => return None,
        };
    }
}

/// What is left of a line up to a colon, without what escapes; a backslash at the very
/// end is itself.
fn password(mut rest: &[u8]) -> Vec<u8> {
    let mut password = Vec::new();
    loop {
        let (byte, after) = match rest {
            [] | [b':', ..] => return password,
            [b'\\', byte, after @ ..] | [byte, after @ ..] => (*byte, after),
        };
        password.push(byte);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted {
        host: "fd00::2",
        port: 5432,
        dbname: "app",
        user: "me",
    };

    fn found(file: &[u8], wanted: Wanted) -> Option<String> {
        find(file, wanted).map(|password| password.escape_ascii().to_string())
    }

    #[test]
    fn the_first_line_that_matches_counts() {
        let text =
            b"# a comment\nother:5432:app:me:no\nfd00\\:\\:2:*:*:me:pa\\:ss\\\\\n*:*:*:*:late";
        assert_eq!(found(text, WANTED).as_deref(), Some("pa:ss\\\\"));
        let other = Wanted {
            user: "you",
            ..WANTED
        };
        assert_eq!(found(text, other).as_deref(), Some("late"));
    }

    /// With what `psql` 15 sends.
    #[test]
    fn a_line_is_what_libpq_takes_it_for() {
        let long = [b"*:*:*:*:", &*vec![b'x'; 5_000]].concat();
        let long_password = "x".repeat(5_000);
        for (file, password) in [
            (&b"fd00::2:5432:app:me:a"[..], "a"),
            (b"\\f\\d00::2:*:*:*:a", "a"),
            (b"*:*:*:*:a:b", "a"),
            (b"*:*:*:*:a\\\r\r\n", "a\\\\"),
            (b"*:*:*:*:a b ", "a b "),
            (b"caf\xe9:*:*:*:no\n*:*:*:*:a\xe9", "a\\xe9"),
            (b"*:*:*:*:a\xe9", "a\\xe9"),
            (b" # *:*:*:*:no\n*:*:*:*:a", "a"),
            (b"*:*:*:*:n\0o\n*:*:*:*:a", "a"),
            (&long, &long_password),
        ] {
            let shown = file.escape_ascii();
            assert_eq!(found(file, WANTED).as_deref(), Some(password), "{shown}");
        }
    }

    #[test]
    fn what_does_not_match_is_no_password() {
        for text in [
            "",
            "*:*:*",
            "*:*:*:*",
            "\\*:*:*:*:no",
            "*x:*:*:*:no",
            "*:5433:*:*:no",
            "*:54321:*:*:no",
            "*:543:*:*:no",
            "#*:*:*:*:no",
            " *:*:*:*:no",
            "fd00::2\\",
            // The first that matches, and it is none.
            "*:*:*:*:\n*:*:*:*:no",
        ] {
            assert_eq!(find(text.as_bytes(), WANTED), None, "{text}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        assert_eq!(read(&path), (None, None));
        fs::write(&path, "*:*:*:*:secret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let (text, warning) = read(&path);
        assert_eq!(text, None);
        let warning = warning.unwrap();
        assert!(warning.contains("chmod 0600") && !warning.contains("secret"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&path).0.as_deref(), Some(&b"*:*:*:*:secret\n"[..]));
    }
}
