//! The password file, `~/.pgpass`
//! ([libpq](https://www.postgresql.org/docs/current/libpq-pgpass.html)).

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
#[must_use]
pub fn read(path: &Path) -> (Option<String>, Option<String>) {
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
    match fs::read_to_string(path) {
        Ok(text) => (Some(text), None),
        Err(error) => ignored(&error.to_string()),
    }
}

/// The password of the first line that matches.
#[must_use]
pub fn find(text: &str, wanted: Wanted<'_>) -> Option<String> {
    let port = wanted.port.to_string();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| {
            let mut fields = fields(line.trim_end_matches('\r')).into_iter();
            for expected in [wanted.host, &port, wanted.dbname, wanted.user] {
                match fields.next()? {
                    // An escaped star is a star, and not anything.
                    Field { text, plain: true } if text == "*" => {}
                    Field { text, .. } if text == expected => {}
                    _ => return None,
                }
            }
            fields.next().map(|field| field.text)
        })
}

struct Field {
    text: String,
    /// Nothing in it was escaped.
    plain: bool,
}

/// Four fields and the rest, split at colons; `\:` and `\\` are escaped.
fn fields(line: &str) -> Vec<Field> {
    let empty = || Field {
        text: String::new(),
        plain: true,
    };
    let mut fields = Vec::with_capacity(5);
    let mut field = empty();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                field.plain = false;
                field.text.extend(characters.next());
            }
            ':' => fields.push(std::mem::replace(&mut field, empty())),
            _ => field.text.push(character),
        }
    }
    fields.push(field);
    fields
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

    #[test]
    fn the_first_line_that_matches_counts() {
        let text =
            "# a comment\nother:5432:app:me:no\nfd00\\:\\:2:*:*:me:pa\\:ss\\\\\n*:*:*:*:late";
        assert_eq!(find(text, WANTED).as_deref(), Some("pa:ss\\"));
        let other = Wanted {
            user: "you",
            ..WANTED
        };
        assert_eq!(find(text, other).as_deref(), Some("late"));
    }

    #[test]
    fn what_does_not_match_is_no_password() {
        for text in ["", "*:*:*", "\\*:*:*:*:no", "*:5433:*:*:no", "#*:*:*:*:no"] {
            assert_eq!(find(text, WANTED), None, "{text}");
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
        assert_eq!(read(&path).0.as_deref(), Some("*:*:*:*:secret\n"));
    }
}
