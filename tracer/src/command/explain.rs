//! `tracer explain`, from top to bottom.

use std::io;
use std::path::Path;
use std::slice;

use anyhow::Context as _;
use nix::unistd::isatty;
use tracer_core::merge::model::Merged;
use tracer_core::render::account::{Which, explained, explained_of_both};
use tracer_core::render::document::Document;
use tracer_core::report::Report;
use tracer_core::report::read::{is_akin, schema};
use tracer_core::{merge, render};

use crate::cli::{ExplainArguments, Format};
use crate::config::ConfigError;
use crate::files::input::{contents, name};
use crate::files::{Output, unread};
use crate::terminal;

/// How wide a line is where there is no terminal.
const WIDTH: usize = 100;

/// Reads a report and explains some of its slow commits.
pub(crate) fn run(arguments: &ExplainArguments) -> anyhow::Result<()> {
    let (input, output) = (&arguments.file, arguments.output.as_deref());
    let output = output.unwrap_or(Path::new("-"));
    let format = arguments.format.or_else(|| Format::of_file(output));
    let format = format.ok_or_else(|| ConfigError::Format(output.to_owned()))?;
    unread(slice::from_ref(input), "--output", Some(output))?;
    let target = Output::create("--output", output)?;
    let which = match &arguments.lsn {
        Some(lsn) => Which::Lsn(lsn.clone()),
        None => Which::Slowest(arguments.slowest),
    };
    let document = document(&contents(input)?, &which).with_context(|| name(input))?;
    let text = match format {
        Format::Html => render::html::render(&document),
        Format::Md => render::markdown::render(&document),
        Format::Text => render::plain::render(&document, width(output)),
    };
    target.finish(text.as_bytes(), None)?;
    Ok(())
}

/// Of two reports that were merged, with what both saw.
fn document(bytes: &[u8], which: &Which) -> anyhow::Result<Document> {
    let document = if is_akin(&schema(bytes)?, merge::SCHEMA) {
        explained_of_both(&Merged::read(bytes)?, which)
    } else {
        explained(&Report::read(bytes)?, which)
    };
    document.map_err(anyhow::Error::msg)
}

fn width(output: &Path) -> usize {
    let stdout = io::stdout();
    if output == Path::new("-") && isatty(&stdout).unwrap_or(false) {
        terminal::size(&stdout).0
    } else {
        WIDTH
    }
}
