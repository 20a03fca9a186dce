//! Members of structs, however deep they are nested.

use crate::kernel::btf::reader::{Type, word};
use crate::kernel::btf::{Btf, BtfError, kind};

/// Anonymous structs in anonymous unions in …: real kernels have five levels.
const MAX_DEPTH: u32 = 16;
/// Members looked at for one name: `struct task_struct` has under 500, with all
/// that is nested in it.
const MAX_LOOKS: u32 = 100_000;

/// Where a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Bits from the start of the struct that was asked.
    pub bit_offset: u32,
    /// Width in bits if it is a bit-field.
    pub bit_width: Option<u32>,
    /// Id of its type, to look further inside.
    pub type_id: u32,
}

impl Member {
    /// Offset in bytes: of a bit-field, the byte that holds its first bit.
    pub const fn byte_offset(&self) -> u32 {
        self.bit_offset / 8
    }
}

impl Btf<'_> {
    /// The member at the end of a path of names, starting in the struct or union
    /// `id`, with its offset counted from there. Each name is looked for in
    /// anonymous members too; names that lead through a pointer find nothing.
    ///
    /// # Errors
    /// Damaged data. A name that is not there is `None`.
    pub fn member(&self, id: u32, path: &[&str]) -> Result<Option<Member>, BtfError> {
        let mut here = Member {
            bit_offset: 0,
            bit_width: None,
            type_id: id,
        };
        for name in path {
            let holder = self.strip(here.type_id)?;
            let mut looks = MAX_LOOKS;
            let Some(found) = self.search(&holder, name, MAX_DEPTH, &mut looks)? else {
                return Ok(None);
            };
            here = Member {
                bit_offset: here.bit_offset.saturating_add(found.bit_offset),
                ..found
            };
        }
        Ok(Some(here))
    }

    /// Size of a type in bytes; `None` for `void`, functions and the like.
    ///
    /// # Errors
    /// Damaged data.
    pub fn size(&self, id: u32) -> Result<Option<u32>, BtfError> {
        let mut count = 1_u32;
        let mut id = id;
        for _ in 0..MAX_DEPTH {
            if id == 0 {
                return Ok(None);
            }
            let found = self.strip(id)?;
            if found.kind == kind::ARRAY {
                // struct btf_array: type, index_type, nelems.
                count = count.saturating_mul(word(found.tail, 2).unwrap_or(0));
                id = word(found.tail, 0).unwrap_or(0);
                continue;
            }
            return Ok(match found.kind {
                // BPF needs a 64-bit kernel for what tracer does.
                kind::PTR => Some(count.saturating_mul(8)),
                sized if kind::has_size(sized) => Some(count.saturating_mul(found.word)),
                _ => None,
            });
        }
        Err(BtfError::Endless(id))
    }

    fn search(
        &self,
        holder: &Type<'_>,
        name: &str,
        depth: u32,
        looks: &mut u32,
    ) -> Result<Option<Member>, BtfError> {
        if !matches!(holder.kind, kind::STRUCT | kind::UNION) {
            return Ok(None);
        }
        for raw in holder.tail.chunks_exact(kind::MEMBER) {
            *looks = looks.checked_sub(1).ok_or(BtfError::Endless(holder.id))?;
            let [Some(name_off), Some(type_id), Some(offset)] = [0, 1, 2].map(|n| word(raw, n))
            else {
                continue;
            };
            if self.is_named(name_off, name) {
                return self.place(holder, type_id, offset).map(Some);
            }
            if self.is_named(name_off, "") && type_id != 0 {
                let inner = self.strip(type_id)?;
                let deeper = depth.checked_sub(1).ok_or(BtfError::Endless(holder.id))?;
                if let Some(found) = self.search(&inner, name, deeper, looks)? {
                    let base = self.place(holder, type_id, offset)?.bit_offset;
                    return Ok(Some(Member {
                        bit_offset: base.saturating_add(found.bit_offset),
                        ..found
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Decodes the offset word of a member, of which there are two encodings.
    fn place(&self, holder: &Type<'_>, type_id: u32, offset: u32) -> Result<Member, BtfError> {
        if holder.kind_flag {
            let width = offset >> 24;
            return Ok(Member {
                bit_offset: offset & 0x00ff_ffff,
                bit_width: (width != 0).then_some(width),
                type_id,
            });
        }
        let mut member = Member {
            bit_offset: offset,
            bit_width: None,
            type_id,
        };
        // The old encoding: the width is that of an integer type made for it.
        if type_id != 0 {
            let found = self.strip(type_id)?;
            let encoding = word(found.tail, 0).unwrap_or(0);
            let (width, shift) = (encoding & 0xff, (encoding >> 16) & 0xff);
            if found.kind == kind::INT && width != found.word.saturating_mul(8) {
                member.bit_offset = offset.saturating_add(shift);
                member.bit_width = Some(width);
            }
        }
        Ok(member)
    }
}
