//! Reports as JSON.

use serde::Serialize;

use crate::harmless;

/// Indented JSON with a line's end, which does a terminal no harm either.
///
/// # Errors
/// If a value has no form in JSON; reports have none such.
pub fn render(report: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(harmless::json(&text).into_owned().into_bytes())
}
