//! The kernel programs that watch TCP: one hook a file under `probe`.
//!
//! All are raw tracepoints: they attach without tracefs, kprobes or BTF ids and
//! exist on every kernel from 5.10. Kernel fields are read at offsets that
//! userspace resolved from BTF, see [`tracer_ebpf::Offsets`].
//!
//! Where the kernel lets tracing programs keep something in a socket, the three hooks that
//! need it are replaced by those of `typed`, which are the same but for `access`, `memory`
//! and `entry`.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::needless_pass_by_value,
    reason = "the attribute wraps the program in an undocumented public function, which \
              hands it its context"
)]

#[path = "table/access.rs"]
mod access;
mod counting;
#[path = "table/entry.rs"]
mod entry;
mod filter;
mod kernel;
mod maps;
#[path = "table/memory.rs"]
mod memory;
#[path = "../shared/object.rs"]
mod object;
mod packet;
mod probe {
    pub mod bad_checksum;
    pub mod reset;
    pub mod retransmit;
    pub mod state;
    pub mod synack;
}
mod socket;
#[path = "../shared/task.rs"]
mod task;
