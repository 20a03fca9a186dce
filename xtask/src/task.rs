//! What a developer runs: one file, or folder, for each `cargo xtask …`.

pub mod bench;
pub mod btf;
pub mod demo;
mod deny;
pub mod fuzz;
pub mod kernels;
pub mod lab;
pub mod picture;
pub mod setup;
pub mod soak;
pub mod test;
pub mod torture;
pub mod vm;
