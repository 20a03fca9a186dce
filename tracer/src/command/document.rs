//! A document for people, made of what tracer has written before.

use std::io;
use std::path::{Path, PathBuf};
use std::slice;

use anyhow::Context as _;
use nix::unistd::isatty;
use tracer_core::render;
use tracer_core::render::document::Document;

use crate::cli::{DocumentArguments, Format};
use crate::config::ConfigError;
use crate::files::input::{contents, name};
use crate::files::{Output, unread};
use crate::terminal;

/// How wide a line is where there is no terminal.
pub(super) const WIDTH: usize = 100;

/// Reads the file and writes what `document` makes of it. On a terminal, lines are as long as
/// that is wide, `max_width` at most.
pub(super) fn write(
    input: &Path,
    to: &DocumentArguments,
    max_width: usize,
    document: impl FnOnce(&[u8]) -> anyhow::Result<Document>,
) -> anyhow::Result<()> {
    let output = destination(to.output.as_deref());
    let format = to.format.or_else(|| Format::of_file(output));
    let format = format.ok_or_else(|| ConfigError::Format(output.to_owned()))?;
    let target = open(slice::from_ref(&input.to_owned()), output)?;
    let document = document(&contents(input)?).with_context(|| name(input))?;
    let text = rendered(&document, format, output, max_width);
    target.finish(text.as_bytes(), None)?;
    Ok(())
}

/// Where `--output` says to write; standard output if it says nothing.
pub(super) fn destination(output: Option<&Path>) -> &Path {
    output.unwrap_or(Path::new("-"))
}

/// Opens it before anything is read, so that a bad path fails at once.
pub(super) fn open(inputs: &[PathBuf], output: &Path) -> anyhow::Result<Output> {
    unread(inputs, "--output", Some(output))?;
    Ok(Output::create("--output", output)?)
}

/// A document in one of its forms, as wide as where it goes, `max_width` at most.
pub(super) fn rendered(
    document: &Document,
    format: Format,
    output: &Path,
    max_width: usize,
) -> String {
    match format {
        Format::Html => render::html::render(document),
        Format::Md => render::markdown::render(document),
        Format::Text => render::plain::render(document, width(output).min(max_width)),
    }
}

fn width(output: &Path) -> usize {
    let stdout = io::stdout();
    if output == Path::new("-") && isatty(&stdout).unwrap_or(false) {
        terminal::size(&stdout).0
    } else {
        WIDTH
    }
}
