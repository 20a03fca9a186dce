//! What is not yet as it should be. These lists only shrink.

/// Rooms that use what stands above them.
pub(crate) const NOT_IN_THE_TABLE: &[&str] = &[];

/// Modules of one parent that use each other.
pub(crate) const CIRCLES: &[&str] = &[];

/// Files that are too long.
pub(crate) const LONG: &[&str] = &[];

/// Files that do not say first what they are.
pub(crate) const UNTITLED: &[&str] = &[];

/// Names that stand for several types.
pub(crate) const NAMED_TWICE: &[&str] = &[];

/// Limits that do not say of what.
pub(crate) const UNNAMED_LIMITS: &[&str] = &[];
