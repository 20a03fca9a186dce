//! The offsets that the kernel programs need, resolved from the kernel's BTF.
//!
//! Rust emits no CO-RE relocations, so nobody else does this. A member that is
//! missing, or is of another width than the programs load, is never guessed at:
//! where nothing could be counted without it that is an error, elsewhere it is
//! [`tracer_ebpf::ABSENT`] and comes with what is lost.

mod field;

use std::io;

use tracer_ebpf::Offsets;

use super::btf::{Btf, BtfError, Member, TypeName};
use super::tracepoints::Tracepoints;
use field::{CONTROL_BLOCK, FIELDS, Field, NO_INODE, NO_TIMEOUT};

/// Where the running kernel publishes its BTF.
pub const RUNNING_KERNEL: &str = "/sys/kernel/btf/vmlinux";

const STRUCTS: [&str; 9] = [
    "sock",
    "inet_sock",
    "inet_connection_sock",
    "tcp_sock",
    "tcp_skb_cb",
    "sk_buff",
    "socket_alloc",
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

/// Why there are no offsets.
#[derive(Debug, thiserror::Error)]
pub enum OffsetsError {
    /// The kernel publishes no BTF.
    #[error(
        "{RUNNING_KERNEL} does not exist: this kernel was built without CONFIG_DEBUG_INFO_BTF and \
         does not say where it keeps the fields of its sockets, so retransmits cannot be charged \
         to flows; boot a kernel built with it, as those of Debian 11, Ubuntu 20.10, RHEL 8.2 and \
         later are"
    )]
    NoBtf,
    /// It does, and it cannot be read.
    #[error(
        "cannot read {RUNNING_KERNEL}: {0}; run as root, and where /sys is hidden (in a container) mount it"
    )]
    Unreadable(#[source] io::Error),
    /// It is not what it should be.
    #[error("cannot understand the kernel's BTF: {0}")]
    Btf(#[from] BtfError),
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

/// Reads the running kernel's BTF and resolves it.
///
/// # Errors
/// As [`resolve`], and when the kernel has no BTF or it cannot be read.
pub fn from_running_kernel() -> Result<Resolved, OffsetsError> {
    match std::fs::read(RUNNING_KERNEL) {
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
    let mut resolver = Resolver {
        btf: &btf,
        offsets: Offsets::UNRESOLVED,
        missing: Vec::new(),
    };
    for field in FIELDS {
        resolver.plain(field, 0)?;
    }
    let block = resolver.required("sk_buff.cb", "sk_buff", &["cb"])?;
    for field in CONTROL_BLOCK {
        resolver.plain(field, block.byte_offset())?;
    }
    resolver.tcp_flags(block.byte_offset())?;
    resolver.congestion_state()?;
    resolver.timer()?;
    resolver.inode()?;

    let tracepoints = Tracepoints::find(&btf)?;
    let hook = tracepoints
        .retransmit_skb
        .ok_or_else(|| OffsetsError::Required {
            field: "tracepoint tcp_retransmit_skb",
            found: "no such typedef".to_owned(),
        })?;
    resolver.offsets.retransmit_has_err = match hook.arguments {
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
        offsets: resolver.offsets,
        missing: resolver.missing,
        tracepoints,
    })
}

struct Resolver<'a> {
    btf: &'a Btf<'a>,
    offsets: Offsets,
    missing: Vec<Missing>,
}

impl Resolver<'_> {
    fn member(&self, root: &'static str, path: &[&str]) -> Result<Option<Member>, BtfError> {
        match self.btf.find(TypeName::Struct(root)) {
            Some(id) => self.btf.member(id, path),
            None => Ok(None),
        }
    }

    fn required(
        &self,
        field: &'static str,
        root: &'static str,
        path: &[&str],
    ) -> Result<Member, OffsetsError> {
        self.member(root, path)?.ok_or_else(|| absent(field))
    }

    /// The byte offset of a member, if it is no bit-field and has that width;
    /// otherwise what it is instead.
    fn whole(
        &self,
        root: &'static str,
        path: &[&str],
        width: u32,
    ) -> Result<Result<u32, String>, BtfError> {
        let Some(member) = self.member(root, path)? else {
            return Ok(Err("it is not there".to_owned()));
        };
        if let Some(bits) = member.bit_width {
            return Ok(Err(format!("it is a bit-field of {bits} bits")));
        }
        Ok(match self.btf.size(member.type_id)? {
            Some(size) if size == width => Ok(member.byte_offset()),
            Some(size) => Err(format!("it is {size} bytes wide and not {width}")),
            None => Err("its size is not known".to_owned()),
        })
    }

    fn plain(&mut self, field: &Field, base: u32) -> Result<(), OffsetsError> {
        match (
            self.whole(field.root, field.path, field.width)?,
            field.without,
        ) {
            (Ok(offset), _) => *(field.slot)(&mut self.offsets) = base.saturating_add(offset),
            (Err(_), Some(consequence)) => self.missing.push(Missing {
                field: field.name,
                consequence,
            }),
            (Err(found), None) => {
                return Err(OffsetsError::Required {
                    field: field.name,
                    found,
                });
            }
        }
        Ok(())
    }

    /// `tcp_skb_cb.tcp_flags`: a byte, two since Linux 6.16 made room for the AE
    /// flag of accurate ECN (`struct tcp_skb_cb` in
    /// <https://elixir.bootlin.com/linux/v6.16/source/include/net/tcp.h>).
    fn tcp_flags(&mut self, block: u32) -> Result<(), OffsetsError> {
        const FIELD: &str = "tcp_skb_cb.tcp_flags";
        let path = &["tcp_flags"];
        for width in [1, 2] {
            if let Ok(offset) = self.whole("tcp_skb_cb", path, width)? {
                self.offsets.cb_tcp_flags = block.saturating_add(offset);
                self.offsets.cb_tcp_flags_size = width;
                return Ok(());
            }
        }
        Err(OffsetsError::Required {
            field: FIELD,
            found: "it is not 1 or 2 bytes wide".to_owned(),
        })
    }

    /// `icsk_ca_state`: a bit-field whose width has changed between versions.
    fn congestion_state(&mut self) -> Result<(), OffsetsError> {
        const FIELD: &str = "inet_connection_sock.icsk_ca_state";
        let member = self.required(FIELD, "inet_connection_sock", &["icsk_ca_state"])?;
        let width = match member.bit_width {
            Some(bits) => bits,
            None => self
                .btf
                .size(member.type_id)?
                .unwrap_or(0)
                .saturating_mul(8),
        };
        let shift = member.bit_offset % 8;
        if width == 0 || shift.saturating_add(width) > 8 {
            return Err(OffsetsError::Required {
                field: FIELD,
                found: format!("its {width} bits at bit {shift} are not within one byte"),
            });
        }
        self.offsets.icsk_ca_state = member.byte_offset();
        self.offsets.icsk_ca_state_shift = shift;
        self.offsets.icsk_ca_state_mask = (1 << width) - 1;
        Ok(())
    }

    /// When the pending timer is due: `icsk_timeout` (seen in 5.10 to 6.12), then
    /// the timer's own expiry, which took its place (6.18), and which moved to
    /// `struct sock` later (7.3). What `tcp_timeout_expires()` reads in
    /// <https://elixir.bootlin.com/linux/latest/source/include/net/inet_connection_sock.h>
    fn timer(&mut self) -> Result<(), OffsetsError> {
        let places: [(&str, &[&str]); 3] = [
            ("inet_connection_sock", &["icsk_timeout"]),
            (
                "inet_connection_sock",
                &["icsk_retransmit_timer", "expires"],
            ),
            ("sock", &["tcp_retransmit_timer", "expires"]),
        ];
        for (root, path) in places {
            if let Ok(offset) = self.whole(root, path, 8)? {
                self.offsets.icsk_timeout = offset;
                return Ok(());
            }
        }
        self.missing.push(Missing {
            field: "inet_connection_sock.icsk_timeout",
            consequence: NO_TIMEOUT,
        });
        Ok(())
    }

    /// From `struct socket` to the inode of its file, which embeds both.
    fn inode(&mut self) -> Result<(), OffsetsError> {
        let inode = self.whole("socket_alloc", &["vfs_inode", "i_ino"], 8)?.ok();
        let socket = self.member("socket_alloc", &["socket"])?;
        let offset = inode.zip(socket).and_then(|(inode, socket)| {
            // Counted from the socket, which has always come first.
            inode.checked_sub(socket.byte_offset())
        });
        match offset {
            Some(offset) => self.offsets.socket_inode = offset,
            None => self.missing.push(Missing {
                field: "socket_alloc.vfs_inode.i_ino",
                consequence: NO_INODE,
            }),
        }
        Ok(())
    }
}

fn absent(field: &'static str) -> OffsetsError {
    OffsetsError::Required {
        field,
        found: "it is not there".to_owned(),
    }
}
