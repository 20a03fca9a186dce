//! The tool itself.

/// As cargo has built it for these tests.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_tracer");
