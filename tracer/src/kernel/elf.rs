//! Which functions a program exports, and where they are.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use object::Endianness;
use object::elf::{FileHeader64, SHT_DYNSYM};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, Sym};
use object::read::{ReadCache, ReadCacheOps, ReadRef};

/// The most of a file that is read to learn what it exports: symbols and their names, of
/// which a server has half a megabyte.
const MAX_READ: u64 = 64 << 20;

/// Those of `wanted` that the 64-bit ELF file does not define for others, in its
/// dynamic symbols, which are there in stripped files too.
///
/// # Errors
/// If it is no such file, or damaged.
pub(crate) fn missing<'a>(
    file: &[u8],
    wanted: &[&'a str],
) -> Result<Vec<&'a str>, object::read::Error> {
    let found = offsets(file, wanted)?;
    let missing = wanted.iter().zip(found).filter(|(_, at)| at.is_none());
    Ok(missing.map(|(name, _)| *name).collect())
}

/// At which byte of the 64-bit ELF file each of `wanted` begins; `None` for those
/// that [`missing`] names.
///
/// # Errors
/// If it is no such file, or damaged.
pub(crate) fn offsets(
    file: &[u8],
    wanted: &[&str],
) -> Result<Vec<Option<u64>>, object::read::Error> {
    let header = FileHeader64::<Endianness>::parse(file)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, file)?;
    let in_file = |address: u64| {
        segments.iter().find_map(|one| {
            let within = address.checked_sub(one.p_vaddr(endian))?;
            // Only what is loaded from the file has a place in it.
            let loaded = one.p_type(endian) == object::elf::PT_LOAD;
            (loaded && within < one.p_filesz(endian))
                .then(|| one.p_offset(endian).checked_add(within))?
        })
    };
    let found = addresses(file, wanted)?;
    Ok(found.into_iter().map(|one| one.and_then(in_file)).collect())
}

/// The address of each of `wanted` in the 64-bit ELF file; `None` for what it does not define
/// for others.
///
/// # Errors
/// If it is no such file, or damaged.
pub(crate) fn addresses(
    file: &[u8],
    wanted: &[&str],
) -> Result<Vec<Option<u64>>, object::read::Error> {
    let header = FileHeader64::<Endianness>::parse(file)?;
    let endian = header.endian()?;
    let symbols = header
        .sections(endian, file)?
        .symbols(endian, file, SHT_DYNSYM)?;
    let mut found = vec![None; wanted.len()];
    for symbol in symbols.iter() {
        if symbol.is_definition(endian, symbols.strings()) && !symbol.is_local() {
            let name = symbol.name(endian, symbols.strings())?;
            for (wanted, place) in wanted.iter().zip(&mut found) {
                if wanted.as_bytes() == name {
                    *place = Some(symbol.st_value(endian));
                }
            }
        }
    }
    Ok(found)
}

/// The address in the 64-bit ELF file of its first byte: loaded, all of it lies as far from
/// there. `None` if that is not loaded.
///
/// # Errors
/// If it is no such file, or damaged.
pub(crate) fn first_address<'a>(
    file: impl ReadRef<'a>,
) -> Result<Option<u64>, object::read::Error> {
    let header = FileHeader64::<Endianness>::parse(file)?;
    let endian = header.endian()?;
    let mut segments = header.program_headers(endian, file)?.iter();
    let first = segments
        .find(|one| one.p_type(endian) == object::elf::PT_LOAD && one.p_offset(endian) == 0);
    Ok(first.map(|one| one.p_vaddr(endian)))
}

/// Whether a file exports all of these, as far as it can be told: what is no 64-bit ELF file,
/// is damaged or has far more symbols than a server does not. Reads no more than it must.
pub(crate) fn exports(file: File, wanted: &[&str]) -> bool {
    let found = defined(&capped(file), wanted);
    found.is_ok_and(|found| found.into_iter().all(|one| one.is_some()))
}

/// Where things are of a 64-bit ELF file, of which no more is read than that takes.
pub(crate) struct Addresses {
    /// Of each that was wanted; `None` for what it does not define for others.
    pub(crate) wanted: Vec<Option<u64>>,
    /// Of its first byte: loaded, all of it lies as far from there. `None` if that is not loaded.
    pub(crate) first: Option<u64>,
}

/// As [`addresses`] and [`first_address`], of a file that may be large: a server's is 9 MB.
///
/// # Errors
/// If it is no such file, or damaged.
pub(crate) fn addresses_in(file: File, wanted: &[&str]) -> Result<Addresses, object::read::Error> {
    let file = capped(file);
    Ok(Addresses {
        wanted: defined(&file, wanted)?,
        first: first_address(&file)?,
    })
}

fn capped(file: File) -> Capped {
    Capped(ReadCache::new(Bounded {
        file,
        at: 0,
        left: MAX_READ,
    }))
}

fn defined(file: &Capped, wanted: &[&str]) -> Result<Vec<Option<u64>>, object::read::Error> {
    let header = FileHeader64::<Endianness>::parse(file)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, file)?;
    let symbols = sections.symbols(endian, file, SHT_DYNSYM)?;
    let mut found = vec![None; wanted.len()];
    if symbols.is_empty() {
        return Ok(found);
    }
    // All names at once, and not one at a time from the file.
    let names = sections.section(symbols.string_section())?;
    let names = names.data(endian, file)?;
    for symbol in symbols.iter() {
        let begin = usize::try_from(symbol.st_name(endian)).unwrap_or(usize::MAX);
        let Some(name) = names.get(begin..) else {
            continue;
        };
        for (wanted, found) in wanted.iter().zip(&mut found) {
            let is_it = |name: &[u8]| {
                let rest = name.strip_prefix(wanted.as_bytes());
                rest.is_some_and(|rest| rest.first() == Some(&0))
            };
            if is_it(name) && !symbol.is_local() && symbol.is_definition(endian, symbols.strings())
            {
                *found = Some(symbol.st_value(endian));
            }
        }
    }
    Ok(found)
}

/// What is read is kept, and no more at once than may be read in all: it is whatever
/// somebody runs.
#[derive(Debug)]
struct Capped(ReadCache<Bounded>);

impl<'a> ReadRef<'a> for &'a Capped {
    fn len(self) -> Result<u64, ()> {
        self.0.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        // The room is made before it is filled.
        (size <= MAX_READ).then_some(()).ok_or(())?;
        self.0.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        self.0.read_bytes_at_until(range, delimiter)
    }
}

/// A file of which so much is read and no more.
#[derive(Debug)]
struct Bounded {
    file: File,
    at: u64,
    left: u64,
}

impl ReadCacheOps for Bounded {
    fn len(&mut self) -> Result<u64, ()> {
        self.file.metadata().map(|file| file.len()).map_err(drop)
    }

    fn seek(&mut self, to: u64) -> Result<u64, ()> {
        self.at = to;
        Ok(to)
    }

    fn read(&mut self, to: &mut [u8]) -> Result<usize, ()> {
        let length = u64::try_from(to.len()).map_err(drop)?;
        self.left = self.left.checked_sub(length).ok_or(())?;
        let read = self.file.read_at(to, self.at).map_err(drop)?;
        self.at = self.at.saturating_add(u64::try_from(read).map_err(drop)?);
        Ok(read)
    }

    fn read_exact(&mut self, to: &mut [u8]) -> Result<(), ()> {
        let length = u64::try_from(to.len()).map_err(drop)?;
        self.left = self.left.checked_sub(length).ok_or(())?;
        self.file.read_exact_at(to, self.at).map_err(drop)?;
        self.at = self.at.saturating_add(length);
        Ok(())
    }
}

/// `endbr64`, with which functions begin where calls through pointers are checked (Intel's
/// CET). It does nothing else, but the kernel has to step through it, which takes a debug
/// exception that a virtual machine leaves for; a `push`, as comes next, it [emulates].
///
/// [emulates]: https://github.com/torvalds/linux/blob/v6.12/arch/x86/kernel/uprobes.c
const ENDBR64: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];

/// Where a function that begins at this byte of the file is best watched: arguments and
/// return address are the same behind that instruction.
pub(crate) fn behind_landing_pad(image: &[u8], begins: u64) -> u64 {
    let code = usize::try_from(begins).ok().and_then(|at| image.get(at..));
    let is_one = code.is_some_and(|code| code.starts_with(&ENDBR64));
    if cfg!(target_arch = "x86_64") && is_one {
        return begins.saturating_add(ENDBR64.len() as u64);
    }
    begins
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This test, whose dynamic symbols are what it imports.
    fn ourselves() -> Vec<u8> {
        std::fs::read("/proc/self/exe").unwrap()
    }

    #[test]
    fn what_is_imported_is_not_exported() {
        let file = ourselves();
        let names = ["write", "no_such_function"];
        assert_eq!(missing(&file, &names).unwrap(), names);
    }

    /// The C library that this test is linked with.
    fn library() -> Vec<u8> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.ends_with("/libc.so.6"));
        let path = line.unwrap().split_whitespace().last().unwrap();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn the_c_library_exports_what_programs_call() {
        let file = library();
        let names = ["write", "no_such_function", "fork"];
        assert_eq!(missing(&file, &names).unwrap(), ["no_such_function"]);
    }

    #[test]
    fn what_a_file_exports_is_told_without_reading_all_of_it() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.ends_with("/libc.so.6"));
        let path = line.unwrap().split_whitespace().last().unwrap();
        let open = |path: &str| File::open(path).unwrap();
        assert!(exports(open(path), &["write", "fork"]));
        // Neither a part of a name, nor a name with more behind it.
        for other in ["writ", "writes", "no_such_function"] {
            assert!(!exports(open(path), &["fork", other]), "{other}");
        }
        assert!(!exports(open("/proc/self/exe"), &["write"]));
        for other in ["/dev/null", "/proc/self/maps", "/"] {
            assert!(!exports(open(other), &["write"]), "{other}");
        }
    }

    #[test]
    fn both_ways_to_look_find_the_same() {
        let names = ["malloc", "free", "surely_not_there"];
        let library = library();
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &library).unwrap();
        let found = addresses_in(file, &names).unwrap();
        assert_eq!(found.wanted, addresses(&library, &names).unwrap());
        assert!(found.wanted[0].is_some() && found.wanted[2].is_none());
        assert_eq!(found.first, first_address(&library[..]).unwrap());
    }

    #[test]
    fn a_file_that_claims_to_have_endless_symbols_is_not_read() {
        let whole = library();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge");
        let mut file = whole.clone();
        let at = usize::try_from(u64::from_le_bytes(file[40..48].try_into().unwrap())).unwrap();
        for section in 0..8 {
            let size = at + section * 64 + 32;
            file[size..size + 8].copy_from_slice(&(1_u64 << 32).to_le_bytes());
        }
        std::fs::write(&path, file).unwrap();
        // Sparse: as long as it says, without a byte on the disk.
        let huge = File::options().write(true).open(&path).unwrap();
        huge.set_len(1 << 40).unwrap();
        assert!(!exports(File::open(&path).unwrap(), &["write"]));
    }

    #[test]
    fn a_function_begins_where_this_program_finds_it_in_memory() {
        let file = library();
        let [Some(offset)] = offsets(&file, &["getpid"]).unwrap()[..] else {
            panic!("the C library has no getpid");
        };
        let here = libc::getpid as *const () as *const u8;
        // SAFETY: the code of a function that is longer than that.
        let code = unsafe { std::slice::from_raw_parts(here, 8) };
        let offset = usize::try_from(offset).unwrap();
        assert_eq!(&file[offset..offset + 8], code);
    }

    #[test]
    fn a_symbol_lies_as_far_from_the_first_byte_in_memory_as_in_the_file() {
        let file = library();
        let [Some(address)] = addresses(&file, &["getpid"]).unwrap()[..] else {
            panic!("the C library has no getpid");
        };
        let first = first_address(&file[..]).unwrap().unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.ends_with("/libc.so.6"));
        let (start, _) = line.unwrap().split_once('-').unwrap();
        let loaded = u64::from_str_radix(start, 16).unwrap();
        let here = libc::getpid as *const () as u64;
        assert_eq!(address - first + loaded, here);
    }

    #[test]
    fn a_file_cut_anywhere_is_no_panic() {
        let file = library();
        for length in (0..4096).chain((4096..file.len()).step_by(4099)) {
            let _ = missing(&file[..length], &["write"]);
        }
    }

    #[test]
    fn damaged_headers_are_no_panic() {
        let mut file = library();
        // `e_shoff`: the sections' headers, here at the end of the file.
        let sections = u64::from_le_bytes(file[40..48].try_into().unwrap());
        let sections = usize::try_from(sections).unwrap();
        // Of those the dynamic symbols and their names are among the first eight.
        for at in (0..64).chain(sections..sections + 8 * 64) {
            for value in [0, 0x7f, 0xff] {
                let kept = std::mem::replace(&mut file[at], value);
                let _ = missing(&file, &["write"]);
                file[at] = kept;
            }
        }
        assert!(missing(&file, &["write"]).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_program_is_an_error() {
        for file in [&b""[..], b"#!/bin/sh\n", &[0x7f; 64]] {
            assert!(missing(file, &["write"]).is_err());
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_function_is_watched_behind_what_the_kernel_would_step_through() {
        const PUSH: [u8; 4] = [0x55, 0x48, 0x89, 0xe5];
        let image = [PUSH, ENDBR64, PUSH, ENDBR64].concat();
        assert_eq!(
            [0, 4, 8, 12].map(|at| behind_landing_pad(&image, at)),
            [0, 8, 8, 16]
        );
        // Cut short, or somewhere else altogether.
        assert_eq!(
            [13, 16, u64::MAX].map(|at| behind_landing_pad(&image, at)),
            [13, 16, u64::MAX]
        );
    }
}
