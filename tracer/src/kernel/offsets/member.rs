//! One member of a struct, where nothing can be done without it.

use std::io;

use crate::kernel::btf::{Btf, BtfError, TypeName};

/// Its offset, in bytes from the start of the struct, at the end of a path of names. Of an
/// array at the end of a struct, nothing says how long it is: its width is not asked.
///
/// # Errors
/// BTF that cannot be understood; [`io::ErrorKind::NotFound`] if the kernel has no such
/// member, or not of that width, bytes.
pub(super) fn offset(
    btf: &Btf<'_>,
    holder: &'static str,
    path: &[&str],
    width: Option<u32>,
) -> io::Result<u32> {
    let member = match btf.find(TypeName::Struct(holder)) {
        Some(id) => btf.member(id, path).map_err(damaged)?,
        None => None,
    };
    let size = match member {
        Some(member) => btf.size(member.type_id).map_err(damaged)?,
        None => None,
    };
    match member {
        Some(member) if member.bit_width.is_none() && (width.is_none() || size == width) => {
            Ok(member.byte_offset())
        }
        _ => Err(absent(holder, path, width)),
    }
}

fn absent(holder: &str, path: &[&str], width: Option<u32>) -> io::Error {
    let width = width.map_or_else(String::new, |width| format!(" of {width} bytes"));
    let message = format!("this kernel has no {holder}.{}{width}", path.join("."));
    io::Error::new(io::ErrorKind::NotFound, message)
}

pub(super) fn damaged(error: BtfError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
