//! The hooks that remember sockets, as programs whose arguments have types: they load fields
//! directly and keep what they remember in the socket itself.
//!
//! Userspace gives them the maps of the other object, and tries by loading them whether the kernel
//! takes them.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::needless_pass_by_value,
    reason = "the attribute wraps the program in an undocumented public function, which \
              hands it its context; and what only the other hooks need is in the same files"
)]

mod access;
#[path = "../counting.rs"]
mod counting;
mod entry;
#[path = "../filter.rs"]
mod filter;
#[path = "../kernel.rs"]
mod kernel;
#[path = "../maps.rs"]
mod maps;
mod memory;
#[path = "../../shared/object.rs"]
mod object;
#[path = "../probe"]
mod probe {
    pub mod retransmit;
    pub mod state;
    pub mod synack;
}
#[path = "../socket.rs"]
mod socket;
#[path = "../../shared/task.rs"]
mod task;
