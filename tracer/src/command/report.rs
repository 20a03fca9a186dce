//! `tracer report`, from top to bottom.

use std::path::Path;
use std::slice;

use anyhow::Context as _;
use tracer_core::merge::model::Merged;
use tracer_core::render::document::Document;
use tracer_core::report::Report;
use tracer_core::report::read::{ReadError, is_akin, schema};
use tracer_core::{merge, render};

use crate::cli::{Format, ReportArguments};
use crate::config::ConfigError;
use crate::files::input::{contents, name};
use crate::files::{Output, unread};

/// Lines of text are no longer than this where words allow it.
const TEXT_WIDTH: usize = 100;

/// Reads a report and writes it for people.
pub(crate) fn run(arguments: &ReportArguments) -> anyhow::Result<()> {
    let (input, output) = (&arguments.file, arguments.output.as_deref());
    let output = output.unwrap_or(Path::new("-"));
    let format = arguments.format.or_else(|| Format::of_file(output));
    let format = format.ok_or_else(|| ConfigError::Format(output.to_owned()))?;
    unread(slice::from_ref(input), "--output", Some(output))?;
    let output = Output::create("--output", output)?;
    let document = document(&contents(input)?).with_context(|| name(input))?;
    let text = match format {
        Format::Html => render::html::render(&document),
        Format::Md => render::markdown::render(&document),
        Format::Text => render::plain::render(&document, TEXT_WIDTH),
    };
    output.finish(text.as_bytes(), None)?;
    Ok(())
}

/// The account of a report, or of what was merged of two.
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
        for schema in ["tracer.merge/1", "tracer.merge/2"] {
            let broken = said(schema);
            assert!(
                broken.starts_with(&format!("`{schema}` by its")),
                "{broken}"
            );
        }
        let later = said("tracer.merge/3");
        let readable = "reads `tracer.merge/2` and `tracer.merge/1`";
        assert!(later.ends_with(readable), "{later}");
        let later = said("tracer.report/3");
        let readable = "reads `tracer.report/2` and `tracer.report/1`";
        assert!(later.ends_with(readable), "{later}");
    }
}
