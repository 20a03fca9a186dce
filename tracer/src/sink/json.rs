//! Reports as JSON.

use serde::Serialize;

/// Indented JSON with a line's end.
///
/// # Errors
/// If a value has no form in JSON; reports have none such.
pub fn render(report: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(report)?;
    bytes.push(b'\n');
    Ok(bytes)
}
