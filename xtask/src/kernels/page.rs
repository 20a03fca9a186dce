//! The table of kernels: a row a kernel, a column a feature.

use super::cell::Cell;

/// Of a table that has no such cell.
const NOTHING: &str = "–";

/// What was found under one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// What the kernel is called in the table.
    pub(super) kernel: String,
    /// As `uname -r` prints it.
    pub(super) release: String,
    /// Whether the next run will find the same kernel, wherever it takes place.
    pub(super) compared: bool,
    /// What was found.
    pub(super) cells: Vec<Cell>,
}

impl Row {
    /// What was found of one thing; different findings side by side.
    fn verdict(&self, column: &str) -> String {
        let mut verdicts: Vec<&str> = Vec::new();
        for cell in self.cells.iter().filter(|cell| cell.column == column) {
            if !verdicts.contains(&cell.verdict.as_str()) {
                verdicts.push(&cell.verdict);
            }
        }
        if verdicts.is_empty() {
            return NOTHING.to_owned();
        }
        verdicts.join(" / ")
    }

    /// Segments that were compared, and in how many ways they came to be.
    fn segments(&self, column: &str) -> String {
        let counts: Vec<u64> = self
            .cells
            .iter()
            .filter(|cell| cell.column == column)
            .filter_map(|cell| cell.segments)
            .collect();
        match &counts[..] {
            [] => NOTHING.to_owned(),
            [one] => one.to_string(),
            some => format!("{} in {} ways", some.iter().sum::<u64>(), some.len()),
        }
    }
}

/// The page of the documentation.
#[derive(Debug)]
pub(super) struct Page {
    rows: Vec<Row>,
    columns: Vec<String>,
}

impl Page {
    /// With the columns by their names: tests end in another order each time.
    pub(super) fn new(rows: Vec<Row>) -> Self {
        let cells = rows.iter().flat_map(|row| &row.cells);
        let mut columns: Vec<String> = cells.map(|cell| cell.column.clone()).collect();
        columns.sort_by_cached_key(|column| (column.to_lowercase(), column.clone()));
        columns.dedup();
        Self { rows, columns }
    }

    /// The table of what was found.
    pub(super) fn verdicts(&self) -> String {
        self.table(|row| &row.kernel, Row::verdict, |_| true)
    }

    /// The whole page.
    pub(super) fn render(&self) -> String {
        let figures = self.table(
            |row| &row.release,
            Row::segments,
            |column| {
                let mut cells = self.rows.iter().flat_map(|row| &row.cells);
                cells.any(|cell| cell.column == column && cell.segments.is_some())
            },
        );
        format!("{HEAD}\n{}\n{FIGURES}\n{figures}", self.verdicts())
    }

    /// What is not as the page says; nothing of kernels that were not visited.
    pub(super) fn changes(&self, page: &str) -> Vec<String> {
        let mut lines = page
            .lines()
            .skip_while(|line| !line.starts_with("| kernel |"));
        let columns: Vec<&str> = lines.next().map(cells).unwrap_or_default();
        let rows: Vec<Vec<&str>> = lines
            .skip(1)
            .map_while(|line| line.starts_with('|').then(|| cells(line)))
            .collect();
        let mut changes = Vec::new();
        for row in self.rows.iter().filter(|row| row.compared) {
            let written = rows
                .iter()
                .find(|cells| cells.first() == Some(&row.kernel.as_str()));
            let Some(written) = written else {
                changes.push(format!("{}: there is no such row", row.kernel));
                continue;
            };
            let written = |column: &str| {
                let place = columns.iter().position(|name| *name == column)?;
                written.get(place).copied()
            };
            for column in &self.columns {
                let (now, then) = (row.verdict(column), written(column).unwrap_or(NOTHING));
                if now != then {
                    changes.push(format!("{}, {column}: {then}, now {now}", row.kernel));
                }
            }
            for gone in columns.iter().skip(1) {
                let known = self.columns.iter().any(|column| column == gone);
                if !known && written(gone) != Some(NOTHING) {
                    changes.push(format!("{}, {gone}: is no longer tested", row.kernel));
                }
            }
        }
        changes
    }

    fn table<'a>(
        &'a self,
        name: impl Fn(&'a Row) -> &'a str,
        value: impl Fn(&'a Row, &str) -> String,
        wanted: impl Fn(&str) -> bool,
    ) -> String {
        let columns: Vec<&String> = self.columns.iter().filter(|one| wanted(one)).collect();
        let mut text = String::from("| kernel |");
        for column in &columns {
            text += &format!(" {column} |");
        }
        text += "\n|---|";
        text += &"---|".repeat(columns.len());
        for row in &self.rows {
            text += &format!("\n| {} |", name(row));
            for column in &columns {
                text += &format!(" {} |", value(row, column));
            }
        }
        text + "\n"
    }
}

/// The cells of a line of a table.
fn cells(line: &str) -> Vec<&str> {
    line.trim()
        .trim_matches('|')
        .split('|')
        .map(str::trim)
        .collect()
}

const HEAD: &str = "\
# Kernels

Made by `cargo xtask kernels --write`; do not edit. Each cell comes from tests
that ran under that kernel, and `cargo xtask test` fails when one changes. The
numbered kernels are Debian's own, booted in an emulated machine; the last part
of a release name that no distribution has is a vendor's.

- *exact*: every segment was counted once, and as what it was. The kernel's
  `RetransSegs` and ours grew by the same number, every flow equals the socket's
  own sum, and each kind agrees with the kernel's counter of it.
- *no …*: the kernel does not have what this needs, and `tracer` says so.
";

const FIGURES: &str = "\
## Segments that were compared
";

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(column: &str, verdict: &str, segments: Option<u64>) -> Cell {
        Cell {
            column: column.to_owned(),
            verdict: verdict.to_owned(),
            segments,
        }
    }

    fn row(kernel: &str, cells: Vec<Cell>) -> Row {
        Row {
            kernel: kernel.to_owned(),
            release: format!("{kernel}.0-1-amd64"),
            compared: kernel != "own",
            cells,
        }
    }

    fn page() -> Page {
        Page::new(vec![
            row("own", vec![cell("loss", "no netem", None)]),
            row(
                "6.1",
                vec![
                    cell("programs", "all", None),
                    cell("loss", "exact", Some(10)),
                    cell("loss", "exact", Some(20)),
                ],
            ),
        ])
    }

    #[test]
    fn a_row_a_kernel_and_a_column_a_feature() {
        assert_eq!(
            page().verdicts(),
            "| kernel | loss | programs |\n\
             |---|---|---|\n\
             | own | no netem | – |\n\
             | 6.1 | exact | all |\n"
        );
        let text = page().render();
        assert!(text.ends_with(
            "| kernel | loss |\n|---|---|\n| own.0-1-amd64 | – |\n| 6.1.0-1-amd64 | 30 in 2 ways |\n"
        ));
    }

    #[test]
    fn a_page_agrees_with_itself() {
        assert_eq!(page().changes(&page().render()), [""; 0]);
    }

    #[test]
    fn what_changed_is_named() {
        let written = page().render();
        let now = |cells| Page::new(vec![row("6.1", cells)]).changes(&written);
        assert_eq!(
            now(vec![
                cell("loss", "exact", Some(1)),
                cell("loss", "no netem", None),
                cell("programs", "all", None)
            ]),
            ["6.1, loss: exact, now exact / no netem"]
        );
        assert_eq!(
            now(vec![cell("loss", "exact", Some(1))]),
            ["6.1, programs: is no longer tested"]
        );
        let other = Page::new(vec![
            row("5.10", Vec::new()),
            row("own", vec![cell("loss", "exact", None)]),
        ]);
        assert_eq!(other.changes(&written), ["5.10: there is no such row"]);
    }
}
