//! The table of kernels: a row a kernel, a column a feature.

use std::collections::BTreeMap;

use super::cell::Cell;

/// Of a table that has no such cell.
const NOTHING: &str = "–";

/// What was found under one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KernelRow {
    /// What the kernel is called in the table.
    pub(super) kernel: String,
    /// As `uname -r` prints it.
    pub(super) release: String,
    /// Whether the next run will find the same kernel, wherever it takes place.
    pub(super) compared: bool,
    pub(super) cells: Vec<Cell>,
}

impl KernelRow {
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

#[derive(Debug)]
pub(super) struct Page {
    rows: Vec<KernelRow>,
    tables: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    name: String,
    columns: Vec<String>,
}

impl Page {
    /// With tables and columns by their names: tests end in another order each time.
    pub(super) fn new(rows: Vec<KernelRow>) -> Self {
        let cells = rows.iter().flat_map(|row| &row.cells);
        let mut columns: Vec<_> = cells
            .map(|cell| (cell.table.clone(), cell.column.clone()))
            .collect();
        columns.sort_by_cached_key(|(table, column)| {
            (table.clone(), column.to_lowercase(), column.clone())
        });
        columns.dedup();
        let mut tables: Vec<Table> = Vec::new();
        for (name, column) in columns {
            match tables.last_mut().filter(|table| table.name == name) {
                Some(table) => table.columns.push(column),
                None => tables.push(Table {
                    name,
                    columns: vec![column],
                }),
            }
        }
        Self { rows, tables }
    }

    pub(super) fn verdicts(&self) -> String {
        self.render_tables(|row| &row.kernel, KernelRow::verdict, |_| true)
    }

    pub(super) fn render(&self) -> String {
        let figures = self.render_tables(
            |row| &row.release,
            KernelRow::segments,
            |column| {
                let mut cells = self.rows.iter().flat_map(|row| &row.cells);
                cells.any(|cell| cell.column == column && cell.segments.is_some())
            },
        );
        format!("{HEAD}\n{}\n{FIGURES}\n{figures}", self.verdicts())
    }

    /// What is not as the page says; nothing of kernels that were not visited.
    pub(super) fn changes(&self, page: &str) -> Vec<String> {
        let written = written(page);
        let columns = || self.tables.iter().flat_map(|table| &table.columns);
        let mut changes = Vec::new();
        for row in self.rows.iter().filter(|row| row.compared) {
            let mut then: BTreeMap<&str, &str> = written
                .iter()
                .filter(|(kernel, ..)| *kernel == row.kernel)
                .map(|(_, column, verdict)| (*column, *verdict))
                .collect();
            if then.is_empty() {
                changes.push(format!("{}: there is no such row", row.kernel));
                continue;
            }
            for column in columns() {
                let now = row.verdict(column);
                let then = then.remove(column.as_str()).unwrap_or(NOTHING);
                if now != then {
                    changes.push(format!("{}, {column}: {then}, now {now}", row.kernel));
                }
            }
            then.retain(|_, verdict| *verdict != NOTHING);
            let gone = then.keys();
            changes.extend(gone.map(|gone| format!("{}, {gone}: is no longer tested", row.kernel)));
        }
        changes
    }

    fn render_tables<'a>(
        &'a self,
        name: impl Fn(&'a KernelRow) -> &'a str,
        value: impl Fn(&'a KernelRow, &str) -> String,
        wanted: impl Fn(&str) -> bool,
    ) -> String {
        let mut texts = Vec::new();
        for table in &self.tables {
            let columns: Vec<&String> = table.columns.iter().filter(|one| wanted(one)).collect();
            if columns.is_empty() {
                continue;
            }
            let mut text = format!("### {}\n\n| kernel |", table.name);
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
            texts.push(text + "\n");
        }
        texts.join("\n")
    }
}

/// What a page says was found: kernel, column and verdict.
fn written(page: &str) -> Vec<(&str, &str, &str)> {
    let mut found = Vec::new();
    let mut columns: Vec<&str> = Vec::new();
    for line in page.lines().take_while(|line| *line != FIGURES.trim_end()) {
        if line.starts_with("| kernel |") {
            columns = cells(line);
        } else if line.starts_with("| ") {
            let row = cells(line);
            let kernel = row.first().copied().unwrap_or_default();
            let pairs = columns.iter().zip(&row).skip(1);
            found.extend(pairs.map(|(column, verdict)| (kernel, *column, *verdict)));
        }
    }
    found
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
  own sum, and each kind agrees with the kernel's counter of it. Of a fault: what
  is reported as hit is what the receiver missed, refused, or had twice or late, and
  as many as chance allows of what was asked for.
- *sum exact*: every segment was counted once, and some as of kind `other`: the kernel keeps
  nothing in a socket for tracing programs, and the table for it was full.
- *fewer*: it showed fewer calls than there were segments.
- *commits need*: the least capability with which `--commits` works; kernels of before
  July 2025 are content with `CAP_PERFMON`.
- *no …*: the kernel does not have what this needs, and `tracer` says so.
";

const FIGURES: &str = "\
## Segments that were compared
";

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(column: &str, verdict: &str, segments: Option<u64>) -> Cell {
        let table = if column == "programs" {
            "programs"
        } else {
            "netem"
        };
        Cell {
            table: table.to_owned(),
            column: column.to_owned(),
            verdict: verdict.to_owned(),
            segments,
        }
    }

    fn row(kernel: &str, cells: Vec<Cell>) -> KernelRow {
        KernelRow {
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
            "### netem\n\n\
             | kernel | loss |\n\
             |---|---|\n\
             | own | no netem |\n\
             | 6.1 | exact |\n\n\
             ### programs\n\n\
             | kernel | programs |\n\
             |---|---|\n\
             | own | – |\n\
             | 6.1 | all |\n"
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
