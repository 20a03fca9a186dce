//! `tracer report`, from top to bottom.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tracer_core::merge::model::Merged;
use tracer_core::render::document::Document;
use tracer_core::report::Report;
use tracer_core::report::read::{ReadError, is_akin, schema};
use tracer_core::{merge, render};

use crate::cli::{Format, ReportArguments};
use crate::files::Output;
use crate::files::input::{contents, name};

/// Lines of text are no longer than this where words allow it.
const TEXT_WIDTH: usize = 100;

/// What `tracer report` is to do.
#[derive(Debug)]
pub(crate) struct ReportRequest {
    input: PathBuf,
    output: PathBuf,
    format: Format,
}

/// A form that cannot be told from the file's name.
#[derive(Debug, thiserror::Error)]
#[error("--output {0} does not say what to write: name it .html, .md or .txt, or give --format")]
pub(crate) struct UnknownFormat(PathBuf);

impl ReportRequest {
    /// Validates a command line.
    ///
    /// # Errors
    /// If it does not say what to write.
    pub(crate) fn from_arguments(arguments: &ReportArguments) -> Result<Self, UnknownFormat> {
        let output = arguments.output.clone().unwrap_or_else(|| "-".into());
        let format = match arguments.format {
            Some(format) => format,
            None => by_name(&output).ok_or_else(|| UnknownFormat(output.clone()))?,
        };
        Ok(Self {
            input: arguments.file.clone(),
            output,
            format,
        })
    }
}

fn by_name(path: &Path) -> Option<Format> {
    if path == Path::new("-") {
        return Some(Format::Text);
    }
    match path.extension()?.to_str()? {
        "html" | "htm" => Some(Format::Html),
        "md" | "markdown" => Some(Format::Md),
        "txt" | "text" => Some(Format::Text),
        _ => None,
    }
}

/// Reads a report and writes it for people.
///
/// # Errors
/// If there is none, or what was made of it cannot be written.
pub(crate) fn run(request: &ReportRequest) -> anyhow::Result<()> {
    let output = Output::create("--output", &request.output)?;
    let bytes = contents(&request.input)?;
    let document = document(&bytes).with_context(|| name(&request.input))?;
    let text = match request.format {
        Format::Html => render::html::render(&document),
        Format::Md => render::markdown::render(&document),
        Format::Text => render::plain::render(&document, TEXT_WIDTH),
    };
    output.finish(text.as_bytes())?;
    Ok(())
}

/// The account of a report, or of what was merged of two.
///
/// # Errors
/// If it is neither.
pub(crate) fn document(bytes: &[u8]) -> Result<Document, ReadError> {
    if is_akin(&schema(bytes)?, merge::SCHEMA) {
        Merged::read(bytes).map(|merged| render::account::of_both(&merged))
    } else {
        Report::read(bytes).map(|report| render::account::of(&report))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merged_file_is_told_as_one_also_when_it_cannot_be_read() {
        let said = |schema: &str| {
            let bytes = format!("{{\"schema\": \"{schema}\"}}");
            document(bytes.as_bytes()).unwrap_err().to_string()
        };
        let broken = said("tracer.merge/1");
        assert!(broken.starts_with("`tracer.merge/1` by its"), "{broken}");
        let later = said("tracer.merge/2");
        assert!(later.ends_with("reads `tracer.merge/1`"), "{later}");
        let later = said("tracer.report/2");
        assert!(later.ends_with("reads `tracer.report/1`"), "{later}");
    }

    #[test]
    fn names_of_files_tell_what_to_write() {
        let format = |name: &str| by_name(Path::new(name));
        assert_eq!(format("-"), Some(Format::Text));
        assert_eq!(format("a/run.html"), Some(Format::Html));
        assert_eq!(format("run.md"), Some(Format::Md));
        for unknown in ["run", "run.pdf", "html", ".html", "run."] {
            assert_eq!(format(unknown), None, "{unknown}");
        }
    }
}
