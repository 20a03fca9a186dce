//! One field after the other: found and of the width that is read, or not.

use tracer_ebpf::Offsets;

use crate::kernel::btf::{Btf, BtfError, Member, TypeName};
use crate::kernel::offsets::field::{CONTROL_BLOCK, FIELDS, Field, NO_INODE, NO_TIMEOUT};
use crate::kernel::offsets::{Missing, OffsetsError};

/// Collects the offsets one after the other.
pub(super) struct Resolver<'a> {
    btf: &'a Btf<'a>,
    offsets: Offsets,
    missing: Vec<Missing>,
}

impl<'a> Resolver<'a> {
    pub(super) const fn new(btf: &'a Btf<'a>) -> Self {
        Self {
            btf,
            offsets: Offsets::UNRESOLVED,
            missing: Vec::new(),
        }
    }

    /// All offsets except [`Offsets::retransmit_has_err`], which is none.
    pub(super) fn all(mut self) -> Result<(Offsets, Vec<Missing>), OffsetsError> {
        for field in FIELDS {
            self.plain(field, 0)?;
        }
        let block = self
            .required("sk_buff.cb", "sk_buff", &["cb"])?
            .byte_offset();
        for field in CONTROL_BLOCK {
            self.plain(field, block)?;
        }
        self.tcp_flags(block)?;
        self.congestion_state()?;
        self.timer()?;
        self.inode()?;
        Ok((self.offsets, self.missing))
    }

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
        // At most eight bits, all of which are set.
        self.offsets.icsk_ca_state_mask = 0xff_u32 >> 8_u32.saturating_sub(width);
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
