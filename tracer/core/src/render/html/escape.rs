//! Text that is nothing but text, between tags and in quotes.

use crate::text::shown;

/// Text whose every character stands for itself; control characters, and what
/// reverses the direction of writing, are shown and do nothing.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            character => match shown(character) {
                Some(shown) => safe.push_str(&shown),
                None => safe.push(character),
            },
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
