//! The password file.

use tracer::postgres::connection::passfile::{Wanted, find};

const PORT: u16 = 5432;

/// The bytes are what is looked for (host, database and user, each of which ends with a
/// line), a password with its line's end, and a file.
///
/// What is found is in the file; and a line in front of it that is escaped as the manual
/// says is found, whatever it holds.
pub fn target(data: &[u8]) {
    let mut parts = data.splitn(5, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let [host, dbname, user] = [next(), next(), next()].map(|part| std::str::from_utf8(part).ok());
    let (password, file) = (next(), next());
    let (Some(host), Some(dbname), Some(user)) = (host, dbname, user) else {
        return;
    };
    let wanted = Wanted {
        host,
        port: PORT,
        dbname,
        user,
    };
    if let Some(found) = find(file, wanted) {
        assert!(!found.is_empty() && found.len() < file.len());
        assert!(!found.contains(&b'\n') && !found.contains(&0));
    }
    let port = PORT.to_string();
    let fields = [
        host.as_bytes(),
        port.as_bytes(),
        dbname.as_bytes(),
        user.as_bytes(),
        password,
    ];
    let line = fields.map(escaped).join(&b':');
    // What ends a line, or makes it a comment, cannot be escaped.
    if line.contains(&0) || line.ends_with(b"\r") || line.starts_with(b"#") {
        return;
    }
    let expected = Some(password).filter(|password| !password.is_empty());
    let file = [&line, &b"\n"[..], file].concat();
    assert_eq!(find(&file, wanted).as_deref(), expected);
}

fn escaped(field: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::new();
    for byte in field {
        if matches!(byte, b':' | b'\\') {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    escaped
}
