//! Text that may hold what others wrote (names of files, values of options and variables,
//! what stands in a file or what a server says) on its way to somebody's terminal: nothing
//! in it moves the cursor, hides, or turns the direction of writing round.
//!
//! What was made harmless already stays as it is, so that all that is said can pass here,
//! whatever was done to its parts.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::text::{does_harm, shown};

/// One line: also the end of a line is shown as `\n`, so that nobody else's text can pass
/// for a line of ours.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false, put)
}

/// Several lines, whose ends are ours.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| character == '\n', put)
}

/// A text in JSON, whose values stay what they are: what does harm can only stand within a
/// string, where it is written as `\u….`
/// ([RFC 8259, section 7](https://www.rfc-editor.org/rfc/rfc8259#section-7)).
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        // Outside of strings these are JSON's own white space, inside they are escaped.
        |character| character.is_ascii_whitespace(),
        |safe, character| {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        },
    )
}

fn put(safe: &mut String, character: char) {
    match shown(character) {
        Some(shown) => safe.push_str(&shown),
        None => safe.push(character),
    }
}

fn escaped(text: &str, ours: fn(char) -> bool, put: fn(&mut String, char)) -> Cow<'_, str> {
    let harmful = |character: char| does_harm(character) && !ours(character);
    if !text.chars().any(harmful) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match harmful(character) {
            true => put(&mut safe, character),
            false => safe.push(character),
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}]0;x\u{7}\r\u{9b}2J\u{202e}b\u{7f}\\\n\u{e0041}é";

    #[test]
    fn nothing_harmful_gets_through_and_all_of_it_is_shown() {
        let said = line(HOSTILE);
        assert_eq!(
            said,
            "a\\u{1b}]0;x\\u{7}\\r\\u{9b}2J\\u{202e}b\\u{7f}\\\\n\\u{e0041}é"
        );
        assert_eq!(line(&said), said, "twice is once");
        assert_eq!(lines("one\ntwo\u{1b}c\n"), "one\ntwo\\u{1b}c\n");
        assert!(matches!(line("as it was: é \\"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_means_what_it_meant() {
        let value = serde_json::json!({ HOSTILE: [HOSTILE, 1, "\t"] });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let safe = json(&text);
        assert!(!safe.chars().any(|c| does_harm(c) && c != '\n'), "{safe}");
        let again: serde_json::Value = serde_json::from_str(&safe).unwrap();
        assert_eq!(again, value);
    }
}
