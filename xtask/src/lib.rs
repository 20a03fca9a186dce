//! Everything that surrounds the tool: its set-up, the one-machine lab that
//! tests and experiments run in, the demo, the test run and the benchmark.
//!
//! A library so that the tests of `tracer` build their networks and servers
//! with the same code as the demo does.

mod apt;
pub mod bench;
pub mod btf;
mod cache;
pub mod command;
pub mod demo;
mod deny;
mod draft;
mod figure;
pub mod fuzz;
pub mod home;
pub mod http;
pub mod interrupt;
pub mod kernels;
pub mod lab;
pub mod load;
mod lock;
pub mod netns;
mod nextest;
pub mod owner;
pub mod packages;
pub mod picture;
pub mod postgres;
pub mod provenance;
pub mod quantile;
pub mod repo;
pub mod setup;
pub mod soak;
pub mod test;
mod tool;
pub mod toolchain;
pub mod torture;
pub mod vm;
pub mod wait;
pub mod withheld;
