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

/// Every form of a document; under libFuzzer the one whose turn it is, because it has the
/// others with the next inputs and gets to three times as many.
pub(crate) fn document(document: &Document, turn: usize) {
    if cfg!(feature = "libfuzzer") {
        FORMS[turn % FORMS.len()](document);
    } else {
        FORMS.iter().for_each(|form| form(document));
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
