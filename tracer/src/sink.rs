//! The forms that a report takes: pure functions from report to bytes.

pub mod json;
pub mod table;
pub mod text;
mod verdict;
