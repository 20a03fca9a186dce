//! Where a shared library calls functions of others: the jumps of its procedure linkage table.
//!
//! A probe there sees the function's arguments and its return, of this library's calls alone:
//! who else calls the function pays nothing.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use object::Endianness;
use object::elf::{FileHeader64, SHF_EXECINSTR, SHT_DYNSYM, SHT_RELA};
use object::read::elf::{FileHeader, Rela, SectionHeader, Sym};

/// `jmp *displacement(%rip)`, by which an entry goes to where the function is
/// (x86-64 psABI, "Procedure Linkage Table").
const JUMP: [u8; 2] = [0xff, 0x25];
/// With its displacement.
const JUMP_LENGTH: usize = 6;
/// The prefix of a branch that bounds may be checked at (Intel's MPX).
const BOUNDED: u8 = 0xf2;

/// At which byte of the 64-bit ELF file the jump to each of `wanted` is; `None` for what it
/// does not call so, and on other processors than x86-64.
///
/// # Errors
/// If it is no such file, or damaged.
pub(crate) fn jumps(file: &[u8], wanted: &[&str]) -> Result<Vec<Option<u64>>, object::read::Error> {
    let mut found = vec![None; wanted.len()];
    if !cfg!(target_arch = "x86_64") {
        return Ok(found);
    }
    let header = FileHeader64::<Endianness>::parse(file)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, file)?;
    let symbols = sections.symbols(endian, file, SHT_DYNSYM)?;
    // Where the loader puts the addresses of the functions.
    let mut slots = Vec::new();
    for section in sections
        .iter()
        .filter(|one| one.sh_type(endian) == SHT_RELA)
    {
        let Some((relocations, _)) = section.rela(endian, file)? else {
            continue;
        };
        for relocation in relocations {
            let Some(index) = relocation.symbol(endian, false) else {
                continue;
            };
            let symbol = symbols.symbol(index)?;
            let name = symbol.name(endian, symbols.strings())?;
            let place = wanted.iter().position(|one| one.as_bytes() == name);
            slots.extend(place.map(|place| (relocation.r_offset(endian), place)));
        }
    }
    for section in sections.iter() {
        let runs = section.sh_flags(endian) & u64::from(SHF_EXECINSTR) != 0;
        if !runs || !sections.section_name(endian, section)?.starts_with(b".plt") {
            continue;
        }
        let code = section.data(endian, file)?;
        for (at, jump) in code.windows(JUMP_LENGTH).enumerate() {
            let Some(displacement) = displacement(jump) else {
                continue;
            };
            let behind = (section.sh_addr(endian))
                .wrapping_add(at as u64)
                .wrapping_add(JUMP_LENGTH as u64);
            let slot = behind.wrapping_add_signed(displacement.into());
            let Some((_, place)) = slots.iter().find(|(address, _)| *address == slot) else {
                continue;
            };
            let before = at
                .checked_sub(1)
                .filter(|at| code.get(*at) == Some(&BOUNDED));
            let begins = section
                .sh_offset(endian)
                .checked_add(before.unwrap_or(at) as u64);
            if let Some(found) = found.get_mut(*place) {
                *found = begins;
            }
        }
    }
    Ok(found)
}

/// How far behind its end a jump looks for where to go.
fn displacement(jump: &[u8]) -> Option<i32> {
    let displacement = jump.strip_prefix(&JUMP)?;
    Some(i32::from_le_bytes(*displacement.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The walreceiver's library of a server that is installed here, if there is one.
    fn library() -> Option<Vec<u8>> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let mut paths = versions.flatten().map(|one| one.path());
        paths.find_map(|path| std::fs::read(path.join("lib/libpqwalreceiver.so")).ok())
    }

    #[test]
    fn the_jump_goes_to_where_the_function_s_address_is_put() {
        let Some(library) = library().filter(|_| cfg!(target_arch = "x86_64")) else {
            return;
        };
        let found = jumps(&library, &["PQgetCopyData", "PQputCopyData", "nothing"]).unwrap();
        let [Some(get), Some(put), None] = found[..] else {
            panic!("{found:?}");
        };
        assert_ne!(get, put);
        for at in [get, put] {
            let code = &library[usize::try_from(at).unwrap()..];
            assert!(code.starts_with(&JUMP) || code.starts_with(&[BOUNDED, 0xff, 0x25]));
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_no_panic() {
        let Some(library) = library() else {
            return;
        };
        for length in (0..library.len()).step_by(97) {
            let _ = jumps(&library[..length], &["PQgetCopyData"]);
        }
        assert!(jumps(b"no program", &["PQgetCopyData"]).is_err());
    }

    #[test]
    fn damaged_headers_are_no_panic() {
        let Some(library) = library() else {
            return;
        };
        for at in 0..library.len().min(4_096) {
            let mut damaged = library.clone();
            damaged[at] ^= 0xff;
            let _ = jumps(&damaged, &["PQgetCopyData"]);
        }
    }
}
