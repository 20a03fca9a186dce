//! One row of a server's answer.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::str::FromStr;

use crate::postgres::raw;

/// The rows of one statement, as text.
pub type Rows = Vec<Vec<Option<String>>>;

/// Its columns, as text.
#[derive(Clone, Copy)]
pub(crate) struct AnswerRow<'a>(pub(crate) &'a [Option<String>]);

impl<'a> AnswerRow<'a> {
    /// The first row of the first statement; without columns if there is none.
    pub(crate) fn first(answers: &'a [Rows]) -> Self {
        let row = answers.first().and_then(|rows| rows.first());
        Self(row.map_or(&[], Vec::as_slice))
    }

    fn get(&self, column: usize) -> Option<&'a str> {
        self.0.get(column)?.as_deref()
    }

    pub(crate) fn text(&self, column: usize) -> Option<String> {
        self.get(column).map(str::to_owned)
    }

    /// Of a column that was asked for by [`raw::asked`].
    pub(crate) fn raw(&self, column: usize) -> Option<String> {
        self.get(column).map(raw::read)
    }

    pub(crate) fn number<T: FromStr>(&self, column: usize) -> Option<T> {
        self.get(column)?.parse().ok()
    }

    pub(crate) fn is(&self, column: usize, value: &str) -> bool {
        self.get(column) == Some(value)
    }

    pub(crate) fn is_true(&self, column: usize) -> bool {
        self.is(column, "t")
    }
}
