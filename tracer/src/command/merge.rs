//! `tracer merge`, from top to bottom.

use std::path::Path;

use anyhow::{Context as _, bail};
use tracer_core::report::Report;
use tracer_core::{merge, render};

use crate::cli::MergeArguments;
use crate::files::input::{contents, name};
use crate::files::{Output, unread};

/// Reads two reports and writes what they are together.
pub(crate) fn run(arguments: &MergeArguments) -> anyhow::Result<()> {
    let output = arguments.output.as_deref();
    unread(&arguments.files, "--output", output)?;
    let output = Output::create("--output", output.unwrap_or(Path::new("-")))?;
    let [one, two] = arguments.files.as_slice() else {
        bail!("two files make one, not {}", arguments.files.len());
    };
    let read = |path: &Path| -> anyhow::Result<Report> {
        Report::read(&contents(path)?).with_context(|| name(path))
    };
    let stem = |path: &Path| {
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        stem.to_string_lossy().into_owned()
    };
    let merged = merge::merge(
        [read(one)?, read(two)?],
        [&stem(one), &stem(two)].map(String::as_str),
    )?;
    output.finish(&render::json::render(&merged)?, None)?;
    Ok(())
}
