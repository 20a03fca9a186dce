//! A terminal's screen as a page for a browser.

use anyhow::{Result, bail};

/// The size of the terminal, in characters.
pub(super) const COLUMNS: u32 = 134;
pub(super) const ROWS: u32 = 24;

/// The height of a line and of what is around all of them, pixels.
const LINE: u32 = 21;
const MARGIN: u32 = 24;

/// The sixteen colours that terminals have.
const COLOURS: [&str; 16] = [
    "#45475a", "#f38ba8", "#a6e3a1", "#f9e2af", "#89b4fa", "#f5c2e7", "#94e2d5", "#bac2de",
    "#585b70", "#f38ba8", "#a6e3a1", "#f9e2af", "#89b4fa", "#f5c2e7", "#94e2d5", "#ffffff",
];

/// The style of characters from here on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Style {
    bold: bool,
    dim: bool,
    colour: Option<usize>,
}

/// The page, and how high it is in pixels. Empty lines at the end are none.
pub(super) fn page(screen: &str) -> Result<(String, u32)> {
    let screen = screen.trim_end();
    let mut body = String::new();
    let mut style = Style::default();
    let mut parts = screen.split('\u{1b}');
    escape(&mut body, style, parts.next().unwrap_or_default());
    for part in parts {
        let sequence = part.strip_prefix('[').and_then(|one| one.split_once('m'));
        let Some((codes, text)) = sequence else {
            bail!("an escape sequence that changes no style: {part:?}");
        };
        for code in codes.split(';') {
            style = style.after(code)?;
        }
        escape(&mut body, style, text);
    }
    let lines = u32::try_from(screen.lines().count())?;
    let html = format!(
        "<!doctype html><meta charset=\"utf-8\"><style>\
         body {{ margin: 0; background: #1e1e2e; color: #cdd6f4 }}\
         pre {{ margin: {MARGIN}px 32px; font: 15px/{LINE}px 'DejaVu Sans Mono', monospace }}\
         </style><pre>{body}</pre>\n"
    );
    Ok((html, lines * LINE + 2 * MARGIN))
}

impl Style {
    /// `code` is one parameter of "select graphic rendition" (ECMA-48, 8.3.117).
    fn after(self, code: &str) -> Result<Self> {
        let number = if code.is_empty() { 0 } else { code.parse()? };
        Ok(match number {
            0 => Self::default(),
            1 => Self { bold: true, ..self },
            2 => Self { dim: true, ..self },
            22 => Self {
                bold: false,
                dim: false,
                ..self
            },
            30..=37 => self.coloured(number - 30),
            39 => Self {
                colour: None,
                ..self
            },
            90..=97 => self.coloured(number - 90 + 8),
            _ => bail!("a terminal's style {number}, which the page has no words for"),
        })
    }

    fn coloured(self, number: usize) -> Self {
        Self {
            colour: Some(number),
            ..self
        }
    }

    fn css(self) -> String {
        let colour = self.colour.and_then(|number| COLOURS.get(number));
        let colour = colour.map(|colour| format!("color:{colour}"));
        let bold = self.bold.then(|| "font-weight:bold".to_owned());
        let dim = self.dim.then(|| "opacity:.6".to_owned());
        let parts: Vec<String> = [colour, bold, dim].into_iter().flatten().collect();
        parts.join(";")
    }
}

fn escape(page: &mut String, style: Style, text: &str) {
    if text.is_empty() {
        return;
    }
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    *page += &match style {
        plain if plain == Style::default() => text,
        style => format!("<span style=\"{}\">{text}</span>", style.css()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(screen: &str) -> String {
        let (html, _) = page(screen).unwrap();
        let (_, body) = html.split_once("<pre>").unwrap();
        body.trim_end().trim_end_matches("</pre>").to_owned()
    }

    #[test]
    fn a_screen_without_colours_is_its_text() {
        assert_eq!(body("a > b & c <d>\nx\n\n\n"), "a > b &amp; c &lt;d>\nx");
        assert_eq!(page("a\nb\n\n").unwrap().1, 2 * LINE + 2 * MARGIN);
    }

    #[test]
    fn colours_last_until_they_are_changed() {
        assert_eq!(
            body("\u{1b}[1;31mlost\u{1b}[0m none\u{1b}[92m well\u{1b}[39m."),
            "<span style=\"color:#f38ba8;font-weight:bold\">lost</span> none\
             <span style=\"color:#a6e3a1\"> well</span>."
        );
    }

    #[test]
    fn what_a_page_cannot_show_is_no_picture() {
        for screen in ["\u{1b}[38;5;9mx", "\u{1b}[2Jx", "\u{1b}]0;title\u{7}x"] {
            assert!(page(screen).is_err(), "{screen:?}");
        }
    }
}
