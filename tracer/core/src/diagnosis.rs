//! What the waiting was for.
//!
//! Pure: from what was recorded. Findings are made of the whole run, and know
//! neither of phases nor of what was broken on purpose: what the data do not show is
//! not found.

mod judge;
#[cfg(test)]
mod tests;

pub use judge::findings;
