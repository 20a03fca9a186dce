//! The kernel programs that watch TCP: one hook a file under `probe`.
//!
//! All are raw tracepoints: they attach without tracefs, kprobes or BTF ids and
//! exist on every kernel from 5.10. Kernel fields are read at offsets that
//! userspace resolved from BTF, see [`tracer_ebpf::Offsets`].
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod account;
mod filter;
mod kernel;
mod maps;
mod packet;
mod probe {
    pub mod bad_checksum;
    pub mod reset;
    pub mod retransmit;
    pub mod state;
    pub mod synack;
}
mod socket;
mod task;

/// The kernel reserves the helpers that the programs call for GPL-compatible code.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
