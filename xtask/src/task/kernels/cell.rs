//! What one test said about a kernel.

use serde_json::Value;

/// What begins a line in which a test says something.
const MARK: &str = "cell ";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    /// Which of the tests it comes from.
    pub(super) table: String,
    /// What it is about.
    pub(super) column: String,
    /// What was found, in a word or two.
    pub(super) verdict: String,
    /// Segments that were compared, where it is about those.
    pub(super) segments: Option<u64>,
}

/// Everything that tests said in their output.
pub(super) fn parse(output: &str) -> Result<Vec<Cell>, String> {
    output
        .lines()
        .filter_map(|line| line.strip_prefix(MARK))
        .map(|line| cell(line).ok_or_else(|| line.to_owned()))
        .collect()
}

fn cell(line: &str) -> Option<Cell> {
    let value: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
    Some(Cell {
        table: text("table")?,
        column: text("column")?,
        verdict: text("verdict")?,
        segments: value.get("segments")?.as_u64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_its_own_is_a_cell() {
        let output = "test a ... \n\
            cell {\"table\":\"kinds\",\"column\":\"SYN\",\"verdict\":\"exact\",\"variant\":\"\",\"segments\":12}\n\
            ok\n\
            cell {\"table\":\"programs\",\"column\":\"programs\",\"verdict\":\"all\",\"variant\":\"\",\"segments\":null}\r\n";
        let cells = parse(output).unwrap();
        assert_eq!(cells.len(), 2);
        assert_eq!(
            (cells[0].column.as_str(), cells[0].segments),
            ("SYN", Some(12))
        );
        assert_eq!(
            (cells[1].verdict.as_str(), cells[1].segments),
            ("all", None)
        );
    }

    #[test]
    fn half_a_line_is_an_error() {
        assert_eq!(parse("cell {\"column\":\n").unwrap_err(), "{\"column\":");
        assert!(parse("cells are not meant\n").unwrap().is_empty());
    }
}
