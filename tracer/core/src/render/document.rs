//! What a person reads, before it takes a form: sections of text, tables and charts.

use crate::render::chart::{Chart, Timeline};

/// A whole account.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// What it is about.
    pub title: String,
    /// All of it in a sentence.
    pub verdict: String,
    /// Where, when and what.
    pub lead: Vec<String>,
    /// The rest.
    pub sections: Vec<Section>,
}

/// A part with a heading.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// What is in it, in order.
    pub blocks: Vec<Block>,
}

/// A piece of a section. Texts are as they were measured: each form makes them
/// harmless in its own way.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A smaller heading.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// Points.
    List(Vec<String>),
    /// A table.
    Table(Table),
    /// A chart; only some forms can show it.
    Chart(Chart),
    /// Stretches of time; likewise.
    Timeline(Timeline),
}

/// A table, whose rows have a cell for each column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Columns.
    pub head: Vec<Column>,
    /// Rows.
    pub rows: Vec<Vec<String>>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// Whether it holds numbers, which are read from the right.
    pub numbers: bool,
}

impl Table {
    /// An empty one; a name that begins with `>` is of a column of numbers.
    #[must_use]
    pub fn new(names: &[&str]) -> Self {
        let column = |name: &&str| match name.strip_prefix('>') {
            Some(name) => Column {
                name: name.to_owned(),
                numbers: true,
            },
            None => Column {
                name: (*name).to_owned(),
                numbers: false,
            },
        };
        Self {
            head: names.iter().map(column).collect(),
            rows: Vec::new(),
        }
    }

    /// One row more, as wide as the head.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        let mut cells = Vec::from(cells);
        cells.resize(self.head.len(), String::new());
        self.rows.push(cells);
    }
}

impl Section {
    /// A section, if there is anything in it.
    #[must_use]
    pub fn of(title: &str, blocks: Vec<Block>) -> Option<Self> {
        let title = title.to_owned();
        (!blocks.is_empty()).then_some(Self { title, blocks })
    }
}
