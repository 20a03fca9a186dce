//! `tracer compare`, from top to bottom.

use std::path::Path;

use anyhow::Context as _;
use tracer_core::compare::condition::{Condition, ConditionOutcome};
use tracer_core::compare::file::ComparedFile;
use tracer_core::compare::{CompareError, compare};
use tracer_core::render;
use tracer_core::render::comparison;

use crate::cli::{CompareArguments, ComparisonFormat};
use crate::command::document;
use crate::config::ConfigError;
use crate::files::input::{contents, name};
use crate::terminal;

/// Tables of two runs side by side are read in narrow places: a terminal beside another, a mail.
const MAX_WIDTH: usize = 80;

/// Compares two runs and writes what became of them. Whether something is so for certain that
/// was to fail.
pub(crate) fn run(arguments: &CompareArguments) -> anyhow::Result<bool> {
    let output = document::destination(arguments.output.as_deref());
    let format = arguments.format;
    let format = format.or_else(|| ComparisonFormat::of_file(output));
    let format = format.ok_or_else(|| ConfigError::ComparisonFormat(output.to_owned()))?;
    let conditions = arguments.fail_if.iter();
    let conditions = conditions.map(|text| text.parse::<Condition>());
    let conditions: Result<Vec<Condition>, _> = conditions.collect();
    let conditions = conditions.map_err(ConfigError::Condition)?;
    let inputs = [arguments.before.clone(), arguments.after.clone()];
    if inputs.iter().all(|path| path == Path::new("-")) {
        return Err(ConfigError::OneInput.into());
    }
    let target = document::open(&inputs, output)?;
    let files = [read(&arguments.before)?, read(&arguments.after)?];
    let names = inputs.each_ref().map(|path| name(path));
    let comparison = compare(
        files.each_ref(),
        names.each_ref().map(String::as_str),
        &conditions,
    );
    let comparison = comparison.map_err(refused)?;
    let bytes = match format {
        ComparisonFormat::Json => render::json::render(&comparison)?,
        ComparisonFormat::Document(format) => {
            let document = comparison::of(&comparison);
            document::rendered(&document, format, output, MAX_WIDTH).into_bytes()
        }
    };
    target.finish(&bytes, None)?;
    // Who writes into a file is to see it as well.
    let mut is_met = false;
    for condition in &comparison.conditions {
        if condition.outcome != ConditionOutcome::NotMet {
            let told = comparison::told(condition);
            terminal::say(format_args!("tracer: {}", told.trim_end_matches('.')));
        }
        is_met |= condition.outcome == ConditionOutcome::Met;
    }
    Ok(is_met)
}

fn read(path: &Path) -> anyhow::Result<ComparedFile> {
    ComparedFile::read(&contents(path)?).with_context(|| name(path))
}

/// A condition on what was not measured is a mistake on the command line.
fn refused(error: CompareError) -> anyhow::Error {
    match error {
        CompareError::Condition(error) => ConfigError::Condition(error).into(),
        other => other.into(),
    }
}
