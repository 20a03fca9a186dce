//! The hooks that remember sockets, as programs whose arguments have types: they load fields
//! directly and keep what they remember in the socket itself.
//!
//! Userspace gives them the maps of `main.rs`, and tries by loading them whether the kernel
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

#[path = "typed/access.rs"]
mod access;
mod counting;
#[path = "typed/entry.rs"]
mod entry;
mod filter;
mod kernel;
mod maps;
#[path = "typed/memory.rs"]
mod memory;
#[path = "../shared/object.rs"]
mod object;
mod probe {
    pub mod retransmit;
    pub mod state;
    pub mod synack;
}
mod socket;
#[path = "../shared/task.rs"]
mod task;
