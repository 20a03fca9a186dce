//! Forms for people, made of foreign words: they have to be whole, and harmless.

use tracer_core::render::document::Document;
use tracer_core::render::{html, markdown, plain};
use tracer_core::text::does_harm;

/// The width of what `tracer report` writes for a terminal.
const WIDTH: usize = 100;

/// How a document is checked in one of its forms.
type Form = fn(&Document);

const FORMS: [Form; 3] = [
    |document| lines(&plain::render(document, WIDTH)),
    |document| lines(&markdown::render(document)),
    |document| page(&html::render(document)),
];

/// Which forms of an input are looked at: every one, but under libFuzzer the one whose turn
/// it is by the input's length, because it gets to as many more inputs and has the other
/// forms with those.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn(usize);

impl Turn {
    pub(crate) fn of(data: &[u8]) -> Self {
        Self(data.len())
    }

    fn has(self, number: usize) -> bool {
        !cfg!(feature = "libfuzzer") || self.0 % (FORMS.len() + 1) == number
    }

    /// Whether it is that of what programs read.
    pub(crate) fn has_json(self) -> bool {
        self.has(FORMS.len())
    }
}

/// A document in the forms for people whose turn it is.
pub(crate) fn document(document: &Document, turn: Turn) {
    for (number, form) in FORMS.iter().enumerate() {
        if turn.has(number) {
            form(document);
        }
    }
}

fn page(page: &str) {
    lines(page);
    // Only tracer's own elements begin with this.
    assert!(!page.contains("<script"), "a script in the page");
    assert!(page.ends_with("</html>\n"), "half a page");
    for name in ["section", "h2", "h3", "ul", "li", "table", "svg"] {
        let count = |text: &str| page.matches(text).count();
        let (bare, more) = (format!("<{name}>"), format!("<{name} "));
        let open = count(&bare) + count(&more);
        assert_eq!(open, count(&format!("</{name}>")), "{name}");
    }
}

/// Text of several lines.
pub(crate) fn lines(text: &str) {
    let harm = text.chars().find(|one| *one != '\n' && does_harm(*one));
    assert_eq!(harm, None, "in {text:?}");
}

/// Text of one line.
pub(crate) fn line(text: &str) {
    assert_eq!(
        text.chars().find(|one| does_harm(*one)),
        None,
        "in {text:?}"
    );
}
