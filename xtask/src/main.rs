//! `cargo xtask`: what a developer or newcomer runs.
fn main() {}
