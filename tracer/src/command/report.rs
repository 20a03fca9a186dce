//! `tracer report`, from top to bottom.

use tracer_core::merge::model::Merged;
use tracer_core::render::document::Document;
use tracer_core::report::Report;
use tracer_core::report::read::{ReadError, is_akin, schema};
use tracer_core::{merge, render};

use crate::cli::ReportArguments;
use crate::command::document;

/// Reads a report and writes it for people.
pub(crate) fn run(arguments: &ReportArguments) -> anyhow::Result<()> {
    // Longer lines of prose are hard to read.
    document::write(&arguments.file, &arguments.to, document::WIDTH, |bytes| {
        Ok(account(bytes)?)
    })
}

/// The account of a report, or of what was merged of two.
pub(crate) fn account(bytes: &[u8]) -> Result<Document, ReadError> {
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
            account(bytes.as_bytes()).unwrap_err().to_string()
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
