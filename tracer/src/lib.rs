//! tracer

pub mod kernel;
