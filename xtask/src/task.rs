//! What a developer runs: one file, or folder, for each `cargo xtask …`.

pub mod bench;
pub mod btf;
pub mod check;
pub mod demo;
mod deny;
pub mod fuzz;
pub mod kernels;
pub mod lab;
mod lint;
pub mod picture;
pub mod setup;
pub mod soak;
mod steps;
pub mod test;
pub mod torture;
pub mod vm;
