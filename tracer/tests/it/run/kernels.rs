//! What depends on the kernel: that the programs load, and that every count is
//! exact, whichever way segments are lost.
//!
//! `cargo xtask kernels` runs these under every kernel of its matrix. A test
//! joins by being here: what it says with [`cell`] becomes its cell in
//! `docs/kernels.md`.

mod amount;
mod beside;
mod cell;
mod commits;
mod faults;
mod kinds;
mod netem;
mod programs;
mod scale;
mod storms;
