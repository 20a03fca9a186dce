//! The report as JSON.

use crate::report::Report;

/// Indented JSON with a line's end.
///
/// # Errors
/// If a value has no form in JSON; the report has none such.
pub fn render(report: &Report) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(report)?;
    bytes.push(b'\n');
    Ok(bytes)
}
