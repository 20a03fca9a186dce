//! What a person reads, before it takes a form: sections of text, tables and charts.

use crate::render::chart::{Chart, Timeline};
use crate::render::stacked_bars::StackedBars;
use crate::render::waterfall::Waterfall;

/// A whole account.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    pub(crate) title: String,
    /// All of it in a sentence.
    pub(crate) verdict: String,
    /// Where, when and what.
    pub(crate) lead: Vec<String>,
    pub(crate) sections: Vec<Section>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) blocks: Vec<Block>,
}

/// A piece of a section. Texts are as they were measured: each form makes them
/// harmless in its own way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Block {
    Heading(String),
    Text(String),
    List(Vec<String>),
    Table(Table),
    Chart(Chart),
    Timeline(Timeline),
    Waterfall(Waterfall),
    StackedBars(StackedBars),
}

/// A table, whose rows have a cell for each column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) head: Vec<Column>,
    pub(crate) rows: Vec<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Whether it holds numbers, which are read from the right.
    pub(crate) numbers: bool,
}

impl Table {
    /// An empty one with this head, whose names are separated by ` | `; one that begins with
    /// `>` is of a column of numbers.
    pub(crate) fn new(head: &str) -> Self {
        let head = head.split(" | ").map(|name| Column {
            name: name.trim_start_matches('>').to_owned(),
            numbers: name.starts_with('>'),
        });
        Self {
            head: head.collect(),
            rows: Vec::new(),
        }
    }

    /// One row more, as wide as the head.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let mut cells = Vec::from(cells);
        cells.resize(self.head.len(), String::new());
        self.rows.push(cells);
    }
}

impl From<&StackedBars> for Table {
    fn from(all: &StackedBars) -> Self {
        let mut table = Self::new("");
        table.head.extend(all.bars.iter().map(|bar| Column {
            name: bar.name.clone(),
            numbers: true,
        }));
        let rows = all.rows().into_iter();
        table.rows.extend(rows.map(|(name, cells)| {
            let name = std::iter::once(name.to_owned());
            name.chain(cells).collect::<Vec<_>>()
        }));
        table
    }
}

impl Section {
    /// A section, if there is anything in it.
    pub(crate) fn of(title: &str, blocks: Vec<Block>) -> Option<Self> {
        let title = title.to_owned();
        (!blocks.is_empty()).then_some(Self { title, blocks })
    }
}
