//! A table of figures, for a terminal and for a page.

/// Its first column is text, the others are figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FigureTable {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl FigureTable {
    pub(crate) fn new<const N: usize>(head: [&str; N]) -> Self {
        Self::with_columns(head)
    }

    pub(crate) fn with_columns<'a>(head: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            head: head.into_iter().map(str::to_owned).collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, name: &str, figures: impl IntoIterator<Item = String>) {
        let cells = [name.to_owned()].into_iter().chain(figures);
        self.rows.push(cells.collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// In columns, with two spaces between them.
    pub(crate) fn plain(&self) -> String {
        let all = || [&self.head].into_iter().chain(&self.rows);
        let width = |column: usize| {
            let cells = all().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let lines = all().map(|row| {
            let cells = row.iter().enumerate().map(|(column, cell)| match column {
                0 => format!("{cell:<0$}", width(column)),
                _ => format!("  {cell:>0$}", width(column)),
            });
            cells.collect::<String>().trim_end().to_owned()
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = "|---".to_owned() + &"|---:".repeat(self.head.len().saturating_sub(1)) + "|\n";
        let rows = self.rows.iter().map(|row| line(row));
        line(&self.head) + &rule + &rows.collect::<String>()
    }
}

/// A whole number with a comma before every third digit.
pub(crate) fn grouped(number: i128) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    match number < 0 {
        true => format!("-{text}"),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_below_each_other() {
        let mut table = FigureTable::new(["a thing", "ns"]);
        table.row("x", ["12345".to_owned()]);
        table.row("longer name", ["7".to_owned()]);
        assert_eq!(
            table.plain(),
            "a thing         ns\nx            12345\nlonger name      7"
        );
        assert_eq!(
            table.markdown(),
            "| a thing | ns |\n|---|---:|\n| x | 12345 |\n| longer name | 7 |\n"
        );
    }

    #[test]
    fn long_numbers_can_be_read() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (-12_345_678, "-12,345,678"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
