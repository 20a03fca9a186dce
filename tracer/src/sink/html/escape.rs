//! Text that is nothing but text, between tags and in quotes.

use std::fmt::Write;

/// Text whose every character stands for itself; control characters, and what
/// reverses the direction of writing, are shown and do nothing.
#[must_use]
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => {
                // Writing to a string cannot fail.
                let _ = write!(safe, "{}", character.escape_unicode());
            }
            character if character.is_control() => {
                let _ = write!(safe, "{}", character.escape_default());
            }
            character => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_place() {
        assert_eq!(
            escape("a<b>&\"'\u{1b}[2J\n\u{202e}é"),
            "a&lt;b&gt;&amp;&quot;&#39;\\u{1b}[2J\\n\\u{202e}é"
        );
    }
}
