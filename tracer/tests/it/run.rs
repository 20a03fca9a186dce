//! `tracer run` on a real kernel, with real traffic: the real program, judged by
//! its report. Needs root.

mod base;
mod cli;
mod clock;
mod descriptors;
mod ending;
mod events;
mod filter;
mod interface;
mod kernels;
mod killed;
mod listen;
mod owner;
mod peers;
mod rotation;
mod stalled;
