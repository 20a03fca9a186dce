//! Text that people read: names of a server's made harmless, counts in words.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use unicode_width::UnicodeWidthStr;

/// PostgreSQL's own bound on names; what is longer is no name of its.
const MAX_NAME: usize = 63;

/// What moves a terminal's cursor, cannot be seen, or reverses the direction of writing.
#[must_use]
pub fn does_harm(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// What to show in place of a character that does harm; `None` of any other.
pub(crate) fn shown(character: char) -> Option<String> {
    match character {
        // Shorter where there is a short way to write it, as of a line's end.
        character if character.is_control() => Some(character.escape_default().to_string()),
        character => does_harm(character).then(|| character.escape_unicode().to_string()),
    }
}

/// A position in the WAL as PostgreSQL writes it.
pub(crate) fn lsn(position: u64) -> String {
    format!("{:X}/{:X}", position >> 32, position & 0xffff_ffff)
}

/// Text from elsewhere in one line that can do no harm: control characters and
/// what reverses the direction of writing are escaped, and it is cut where it is
/// too long.
#[must_use]
pub fn harmless(text: &str, longest: usize) -> String {
    let mut safe = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == longest {
            safe.push('…');
            break;
        }
        match (character, shown(character)) {
            ('\\', _) => safe.push_str("\\\\"),
            (_, Some(shown)) => safe.push_str(&shown),
            (character, None) => safe.push(character),
        }
    }
    safe
}

/// A name, in quotes unless it is a plain word.
#[must_use]
pub fn name(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    if !text.is_empty() && text.chars().all(plain) {
        return harmless(text, MAX_NAME);
    }
    format!("\"{}\"", harmless(text, MAX_NAME).replace('"', "\\\""))
}

/// Bytes as people read them.
#[must_use]
pub fn bytes(count: i64) -> String {
    let magnitude = count.unsigned_abs() as f64;
    let sign = if count < 0 { "-" } else { "" };
    match magnitude {
        m if m < 10_000.0 => format!("{count} B"),
        m if m < 10_000_000.0 => format!("{sign}{:.0} kB", m / 1e3),
        m if m < 10_000_000_000.0 => format!("{sign}{:.0} MB", m / 1e6),
        m => format!("{sign}{:.0} GB", m / 1e9),
    }
}

/// So many of something, in words.
pub(crate) fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// So many segments, in words.
pub(crate) fn segments(count: u64) -> String {
    match count {
        1 => "1 segment".to_owned(),
        some => format!("{some} segments"),
    }
}

/// How often a timeout has doubled in a row.
pub(crate) fn doubled(times: u32) -> String {
    match times {
        1 => "doubled once".to_owned(),
        2 => "doubled twice in a row".to_owned(),
        more => format!("doubled {more} times in a row"),
    }
}

/// Something was done with so many of them: the beginning of the sentence.
pub(crate) fn segments_were(count: u64) -> String {
    let were = if count == 1 { "was" } else { "were" };
    format!("{} {were}", segments(count))
}

/// How many columns of a terminal a text takes: an ideograph takes two, an accent none.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.width()
}

/// A text and the spaces that it lacks to so many columns, behind it.
pub(crate) fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", spaces_to(text, width))
}

pub(crate) fn padded_before(text: &str, width: usize) -> String {
    format!("{}{text}", spaces_to(text, width))
}

fn spaces_to(text: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(columns(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_is_shown_and_does_nothing() {
        assert_eq!(name("db2"), "db2");
        assert_eq!(name(""), "\"\"");
        assert_eq!(name("a b\"c"), "\"a b\\\"c\"");
        assert_eq!(name("\u{1b}[2J\n\\"), "\"\\u{1b}[2J\\n\\\\\"");
        assert_eq!(name("a\u{202e}b"), "\"a\\u{202e}b\"");
        assert_eq!(name("\u{9b}31m"), "\"\\u{9b}31m\"");
        let long = name(&"x".repeat(10_000));
        assert_eq!(long.chars().count(), MAX_NAME + 1);
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        for harmful in [
            '\u{61c}',
            '\u{200b}',
            '\u{2028}',
            '\u{202e}',
            '\u{2066}',
            '\u{feff}',
            '\u{e0041}',
            '\u{85}',
        ] {
            assert_eq!(shown(harmful), Some(harmful.escape_unicode().to_string()));
        }
        assert_eq!(shown('\n').as_deref(), Some("\\n"));
        for harmless in ['a', 'é', ' ', '\u{2010}', '\u{fefe}'] {
            assert_eq!(shown(harmless), None, "{harmless}");
        }
    }

    #[test]
    fn bytes_are_short() {
        for (count, expected) in [
            (0, "0 B"),
            (-7, "-7 B"),
            (9_999, "9999 B"),
            (16_777_216, "17 MB"),
            (-20_000, "-20 kB"),
            (123_456, "123 kB"),
            (50_000_000_000, "50 GB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
    }

    #[test]
    fn a_column_is_what_a_terminal_shows() {
        for (text, width) in [
            ("db2", 3),
            ("\u{30c7}\u{30fc}\u{30bf}", 6),
            ("cafe\u{301}", 4),
        ] {
            assert_eq!(columns(text), width, "{text}");
            assert_eq!(columns(&padded(text, 8)), 8, "{text}");
            assert!(padded_before(text, 8).ends_with(text));
        }
        assert_eq!(padded("longer", 3), "longer");
    }
}
