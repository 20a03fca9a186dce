//! The offsets that the kernel programs need, resolved from the kernel's BTF.
//!
//! Rust emits no CO-RE relocations, so nobody else does this. A member that is
//! missing, or is of another width than the programs load, is never guessed at:
//! where nothing could be counted without it that is an error, elsewhere it is
//! [`tracer_ebpf::ABSENT`] and comes with what is lost.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod field;
mod member;
mod pid;
mod resolver;
mod stage;
mod task;

use std::io;

use tracer_ebpf::Offsets;

use crate::kernel::btf::{Btf, BtfError, RUNNING_KERNEL, RunningBtf, TypeName};
use crate::kernel::offsets::resolver::Resolver;
use crate::kernel::tracepoints::Tracepoints;

pub use crate::kernel::offsets::pid::of_pids;
pub use crate::kernel::offsets::stage::of_stages;
pub use crate::kernel::offsets::task::{TaskOffsets, of_tasks};

const STRUCTS: [&str; 10] = [
    "sock",
    "inet_sock",
    "inet_connection_sock",
    "tcp_sock",
    "tcp_skb_cb",
    "sk_buff",
    "socket_alloc",
    "dst_entry",
    "net_device",
    "net",
];

/// What BTF told.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Ready to be frozen into the programs.
    pub offsets: Offsets,
    /// The fields that are [`tracer_ebpf::ABSENT`], with what that means.
    pub missing: Vec<Missing>,
    /// Which hooks this kernel has.
    pub tracepoints: Tracepoints,
}

/// A field that this kernel does not have, or not as the programs read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The field as C names it, for example `tcp_sock.snd_cwnd`.
    pub field: &'static str,
    /// What tracer does without it, to be read after "this kernel has no FIELD:".
    pub consequence: &'static str,
}

/// Why there are no offsets. Each message is complete: it holds its cause.
#[derive(Debug, thiserror::Error)]
pub enum OffsetsError {
    /// The kernel publishes no BTF.
    #[error(
        "{RUNNING_KERNEL} does not exist: this kernel was built without CONFIG_DEBUG_INFO_BTF and \
         does not say where it keeps the fields of its sockets, so retransmits cannot be charged \
         to flows; boot a kernel built with it, as those of Debian 11, Ubuntu 20.10, RHEL 8.2 and \
         later are (in a container, first make sure that /sys is mounted)"
    )]
    NoBtf,
    /// It does, and it cannot be read.
    #[error("cannot read {RUNNING_KERNEL}: {0}; run as root")]
    Unreadable(io::Error),
    /// It is not what it should be.
    #[error("cannot understand the kernel's BTF: {0}")]
    Btf(BtfError),
    /// A field without which nothing can be counted.
    #[error(
        "this kernel has no {field} that tracer can read ({found}), without which no retransmit can be counted; please report this with the output of `uname -r`"
    )]
    Required {
        /// The field as C names it.
        field: &'static str,
        /// What was found in its place.
        found: String,
    },
}

impl From<BtfError> for OffsetsError {
    fn from(error: BtfError) -> Self {
        Self::Btf(error)
    }
}

/// Whether raw BTF tells what leads from a process to its parent, and to its number in a
/// PID namespace.
pub(crate) fn tells_processes(btf: &[u8]) -> [bool; 2] {
    [task::resolve(btf).is_ok(), pid::resolve(btf, 0).is_ok()]
}

/// Reads the running kernel's BTF and resolves it.
///
/// # Errors
/// As [`resolve`], and when the kernel has no BTF or it cannot be read.
pub fn from_running_kernel() -> Result<Resolved, OffsetsError> {
    match RunningBtf::open() {
        Ok(bytes) => resolve(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OffsetsError::NoBtf),
        Err(error) => Err(OffsetsError::Unreadable(error)),
    }
}

/// Finds every field in the raw BTF of a 64-bit kernel.
///
/// # Errors
/// BTF that cannot be understood, or that lacks a field without which nothing can
/// be counted.
pub fn resolve(btf: &[u8]) -> Result<Resolved, OffsetsError> {
    let mut wanted: Vec<TypeName> = STRUCTS.map(TypeName::Struct).to_vec();
    wanted.extend(Tracepoints::typedefs());
    let btf = Btf::parse(btf, &wanted)?;
    let (mut offsets, missing) = Resolver::new(&btf).all()?;
    let tracepoints = Tracepoints::find(&btf)?;
    let hook = tracepoints
        .retransmit_skb
        .ok_or_else(|| OffsetsError::Required {
            field: "tracepoint tcp_retransmit_skb",
            found: "no such typedef".to_owned(),
        })?;
    offsets.retransmit_has_err = match hook.arguments {
        2 => 0,
        3 => 1,
        other => {
            return Err(OffsetsError::Required {
                field: "tracepoint tcp_retransmit_skb",
                found: format!("it has {other} arguments and not 2 or 3"),
            });
        }
    };
    Ok(Resolved {
        offsets,
        missing,
        tracepoints,
    })
}

#[cfg(test)]
mod tests;
