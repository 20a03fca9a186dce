//! `tracer explain`, from top to bottom.

use anyhow::Error;
use tracer_core::merge;
use tracer_core::merge::model::Merged;
use tracer_core::render::account::{Which, explained, explained_of_both};
use tracer_core::render::document::Document;
use tracer_core::report::Report;
use tracer_core::report::read::{is_akin, schema};

use crate::cli::ExplainArguments;
use crate::command::document;

/// Reads a report and explains some of its slow commits.
pub(crate) fn run(arguments: &ExplainArguments) -> anyhow::Result<()> {
    let which = match &arguments.lsn {
        Some(lsn) => Which::Lsn(lsn.clone()),
        None => Which::Slowest(arguments.slowest),
    };
    // A time axis is the better for every column.
    document::write(&arguments.file, &arguments.to, usize::MAX, |bytes| {
        explain(bytes, &which)
    })
}

/// Of two reports that were merged, with what both saw.
fn explain(bytes: &[u8], which: &Which) -> anyhow::Result<Document> {
    let document = if is_akin(&schema(bytes)?, merge::SCHEMA) {
        explained_of_both(&Merged::read(bytes)?, which)
    } else {
        explained(&Report::read(bytes)?, which)
    };
    document.map_err(Error::msg)
}
