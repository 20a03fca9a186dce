//! One row of a server's answer.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::str::FromStr;

use crate::postgres::sampler::raw;

/// Its columns, as text.
pub(crate) struct AnswerRow<'a>(pub(crate) &'a [Option<String>]);

impl AnswerRow<'_> {
    pub(crate) fn text(&self, column: usize) -> Option<String> {
        self.0.get(column)?.clone()
    }

    /// Of a column that was asked for by [`raw::asked`].
    pub(crate) fn raw(&self, column: usize) -> Option<String> {
        Some(raw::read(self.0.get(column)?.as_deref()?))
    }

    pub(crate) fn number<T: FromStr>(&self, column: usize) -> Option<T> {
        self.0.get(column)?.as_deref()?.parse().ok()
    }

    pub(crate) fn is_true(&self, column: usize) -> bool {
        self.0.get(column).and_then(Option::as_deref) == Some("t")
    }
}
