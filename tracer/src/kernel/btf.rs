//! BTF: where a kernel keeps the members of its structs.
//!
//! A kernel describes 100,000 and more types; tracer asks for a dozen. So the
//! types are walked once, nothing is kept of them but a coarse index, and only
//! what a caller asks for is ever decoded. Every access is length-checked, every
//! recursion and every search bounded: damaged input is an error, never a panic.
//!
//! Format: <https://docs.kernel.org/bpf/btf.html>, `include/uapi/linux/btf.h`.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod kind;
mod member;
mod reader;
mod running;

pub use crate::kernel::btf::member::Member;
pub use crate::kernel::btf::reader::{Btf, TypeName};
pub use crate::kernel::btf::running::{RUNNING_KERNEL, RunningBtf};

/// Why BTF could not be read. Nothing here can be mended by the user except by
/// another kernel, so each says what was found; who reads the file adds its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// Shorter than its own header says.
    #[error("BTF is cut short: {what} ends at byte {need}, the data at byte {have}")]
    Truncated {
        /// What did not fit.
        what: &'static str,
        /// Where it ends, bytes.
        need: u64,
        /// How long the data is, bytes.
        have: u64,
    },
    /// Written on a machine of the other byte order.
    #[error("BTF is of the other byte order: it describes a kernel for another machine")]
    ByteOrder,
    /// Not BTF.
    #[error("not BTF: it starts with {0:#06x} and not with 0xeb9f")]
    Magic(u16),
    /// A version that does not exist yet.
    #[error("BTF version {0} is newer than this tracer, which knows version 1")]
    Version(u8),
    /// A kind of type whose length is not known, so nothing behind it can be found.
    #[error("BTF type {id} is of kind {kind}, which is newer than this tracer")]
    Kind {
        /// Type id.
        id: u32,
        /// `BTF_KIND_*`.
        kind: u32,
    },
    /// A type id that no type has.
    #[error("BTF is damaged: type {0} is referred to and does not exist")]
    NoSuchType(u32),
    /// References that lead in a circle, or nesting that no kernel has.
    #[error("BTF is damaged: the members of type {0} do not end")]
    Endless(u32),
}

#[cfg(test)]
mod tests;
