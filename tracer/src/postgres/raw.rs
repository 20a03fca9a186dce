//! Text of a server's that need not be text: names and settings as the bytes that they
//! are.
//!
//! A cluster whose encoding is `SQL_ASCII` takes any bytes for a name, the shared
//! catalogues hold what databases of every encoding have put there, and settings are
//! the bytes of a file. Asked for as text, one that is not UTF-8 is an error of the
//! server's (`pg_server_to_client()` in
//! <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/utils/mb/mbutils.c>)
//! or not to be read, and the whole answer is lost with it.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

/// Encodings of one byte a character all of whose bytes are characters, so that the
/// server can always make UTF-8 of them.
const WHOLE: [&str; 12] = [
    "LATIN1",
    "LATIN2",
    "LATIN4",
    "LATIN5",
    "LATIN6",
    "LATIN7",
    "LATIN8",
    "LATIN9",
    "LATIN10",
    "ISO_8859_5",
    "KOI8R",
    "KOI8U",
];

/// SQL that gives the bytes of a text in ASCII, by `encode(…, 'escape')`. It is an error
/// of no bytes in no encoding of the server's, and needs no setting of the session's.
///
/// A cast reads `\` as the beginning of a byte, so that each is doubled before; `chr(92)`
/// is one whatever `standard_conforming_strings` says.
pub(crate) fn asked(expression: &str) -> String {
    let whole = WHOLE.map(|name| format!("'{name}'")).join(", ");
    format!(
        "encode(case when getdatabaseencoding() in ({whole}) \
         then convert_to(({expression})::text, 'UTF8') \
         else replace(({expression})::text, chr(92), repeat(chr(92), 2))::bytea end, 'escape')"
    )
}

/// What was asked for, with `\xe4` for each byte that is not UTF-8.
pub(crate) fn read(escaped: &str) -> String {
    let bytes = bytes(escaped);
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// What was asked for; `None` if it is not UTF-8, so that it cannot be sent back.
pub(crate) fn exact(escaped: &str) -> Option<String> {
    String::from_utf8(bytes(escaped)).ok()
}

/// `\\` is one, and `\344` a byte
/// ([binary string functions](https://www.postgresql.org/docs/current/functions-binarystring.html)).
fn bytes(escaped: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (byte, length) = match (first, after) {
            (b'\\', [b'\\', ..]) => (b'\\', 2),
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                // The low bits of a digit are its value: `0` ends in zeros.
                ((a & 3) << 6 | (b & 7) << 3 | (c & 7), 4)
            }
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = rest.get(length..).unwrap_or_default();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_text_are_read_as_text_and_others_are_shown() {
        for (escaped, expected) in [
            ("db2", "db2"),
            ("", ""),
            (r"a\\b", r"a\b"),
            (r"d\303\266b", "döb"),
            (r"caf\351", r"caf\xe9"),
            (r"\344\303\266\377", r"\xe4ö\xff"),
            // No server writes these.
            (r"a\9", r"a\9"),
            (r"a\", r"a\"),
            (r"\400", r"\400"),
        ] {
            assert_eq!(read(escaped), expected, "{escaped}");
            let exact = exact(escaped);
            assert!(exact.is_none_or(|exact| exact == expected), "{escaped}");
        }
    }
}
