//! Reports as JSON.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::harmless;

/// As many numbers stand in a line.
const NUMBERS_IN_A_LINE: usize = 16;

/// Indented JSON with a line's end, which does a terminal no harm either.
///
/// # Errors
/// If a value has no form in JSON; reports have none such.
pub fn render(report: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    report.serialize(&mut Serializer::with_formatter(
        &mut bytes,
        Lines::default(),
    ))?;
    bytes.push(b'\n');
    Ok(match std::str::from_utf8(&bytes) {
        Ok(text) => match harmless::json(text) {
            std::borrow::Cow::Borrowed(_) => bytes,
            std::borrow::Cow::Owned(safe) => safe.into_bytes(),
        },
        // It writes nothing else.
        Err(_) => bytes,
    })
}

/// One value a line, but for arrays of numbers, of which there are long ones.
#[derive(Debug, Default)]
struct Lines {
    /// Of each array and object that is open, how many values it has so far, and whether each
    /// has a line of its own.
    open: Vec<(usize, bool)>,
    /// Whether what comes is the first value of an array.
    is_first: bool,
}

impl Lines {
    fn open(&mut self, to: &mut (impl Write + ?Sized), with: u8, lines: bool) -> io::Result<()> {
        self.break_line_before_first(to)?;
        self.open.push((0, lines));
        to.write_all(&[with])
    }

    fn close(&mut self, to: &mut (impl Write + ?Sized), with: u8) -> io::Result<()> {
        self.is_first = false;
        if let Some((1.., true)) = self.open.pop() {
            self.break_line(to)?;
        }
        to.write_all(&[with])
    }

    fn break_line(&self, to: &mut (impl Write + ?Sized)) -> io::Result<()> {
        to.write_all(b"\n")?;
        self.open.iter().try_for_each(|_| to.write_all(b"  "))
    }

    /// It is no number: each value of this array has a line of its own.
    fn break_line_before_first(&mut self, to: &mut (impl Write + ?Sized)) -> io::Result<()> {
        if !std::mem::take(&mut self.is_first) {
            return Ok(());
        }
        if let Some((_, lines)) = self.open.last_mut() {
            *lines = true;
        }
        self.break_line(to)
    }
}

impl Formatter for Lines {
    fn begin_array<W: Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        self.open(to, b'[', false)
    }

    fn end_array<W: Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        self.close(to, b']')
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.is_first = first;
        let Some((count, lines)) = self.open.last_mut() else {
            return Ok(());
        };
        *count += 1;
        let begins_line = *lines || *count % NUMBERS_IN_A_LINE == 1;
        match (first, begins_line) {
            (true, _) => Ok(()),
            (false, true) => {
                to.write_all(b",")?;
                self.break_line(to)
            }
            (false, false) => to.write_all(b", "),
        }
    }

    fn begin_string<W: Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        self.break_line_before_first(to)?;
        to.write_all(b"\"")
    }

    fn begin_object<W: Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        self.open(to, b'{', true)
    }

    fn end_object<W: Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        self.close(to, b'}')
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        if let Some((count, _)) = self.open.last_mut() {
            *count += 1;
        }
        if !first {
            to.write_all(b",")?;
        }
        self.break_line(to)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_share_a_line_and_nothing_else_does() {
        let value = json!({
            "empty": [[], {}],
            "numbers": (0..18).collect::<Vec<_>>(),
            "objects": [{"one": null}, {"other": [true, 1.5]}],
            "texts": ["a", "b"],
        });
        let text = String::from_utf8(render(&value).unwrap()).unwrap();
        let expected = r#"{
  "empty": [
    [],
    {}
  ],
  "numbers": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    16, 17],
  "objects": [
    {
      "one": null
    },
    {
      "other": [true, 1.5]
    }
  ],
  "texts": [
    "a",
    "b"
  ]
}
"#;
        assert_eq!(text, expected);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
