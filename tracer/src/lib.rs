//! tracer
pub mod inject;
