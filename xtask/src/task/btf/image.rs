//! BTF out of a compressed kernel image.
//!
//! Layout of a bzImage: <https://docs.kernel.org/arch/x86/boot.html>.

use anyhow::{Context, Result, bail};

use crate::testbed::command;

/// Raw BTF as it is, or the section `.BTF` of the ELF file in a bzImage, or of an
/// ELF file.
pub(super) fn btf(bytes: Vec<u8>) -> Result<Vec<u8>> {
    if bytes.starts_with(&[0x9f, 0xeb]) {
        return Ok(bytes);
    }
    if bytes.starts_with(b"\x7fELF") {
        return section(&bytes, ".BTF");
    }
    if bytes.get(0x202..0x206) != Some(b"HdrS") {
        bail!("it is neither BTF nor an ELF file nor an x86 kernel image");
    }
    let sectors = match bytes[0x1f1] {
        0 => 4,
        n => usize::from(n),
    };
    let (offset, length) = (u32_at(&bytes, 0x248)?, u32_at(&bytes, 0x24c)?);
    let start = (sectors + 1) * 512 + offset;
    let payload = bytes
        .get(start..start + length)
        .context("the payload is cut short")?;
    // The tool complains about the image's size, which stands behind the compressed data.
    let unpacked = command::unpack(payload)?;
    let unpacked = unpacked.context("the payload is not compressed by xz, gzip or zstd")?;
    section(&unpacked.stdout, ".BTF")
}

/// A section of a 64-bit little-endian ELF file.
fn section(elf: &[u8], wanted: &str) -> Result<Vec<u8>> {
    let table = u64_at(elf, 0x28)?;
    let (size, count, names) = (u16_at(elf, 0x3a)?, u16_at(elf, 0x3c)?, u16_at(elf, 0x3e)?);
    let names = u64_at(elf, table + names * size + 0x18)?;
    for at in (0..count).map(|n| table + n * size) {
        let name = elf.get(names + u32_at(elf, at)?..).unwrap_or_default();
        if name.split(|b| *b == 0).next() == Some(wanted.as_bytes()) {
            let (start, length) = (u64_at(elf, at + 0x18)?, u64_at(elf, at + 0x20)?);
            let bytes = elf.get(start..start + length);
            return Ok(bytes.context("the section is cut short")?.to_vec());
        }
    }
    bail!("the kernel has no section {wanted}: built without CONFIG_DEBUG_INFO_BTF, or cut short")
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.copied().context("it is cut short")
}

fn u16_at(bytes: &[u8], at: usize) -> Result<usize> {
    Ok(usize::from(u16::from_le_bytes(chunk(bytes, at)?)))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<usize> {
    Ok(u32::from_le_bytes(chunk(bytes, at)?) as usize)
}

fn u64_at(bytes: &[u8], at: usize) -> Result<usize> {
    Ok(usize::try_from(u64::from_le_bytes(chunk(bytes, at)?))?)
}
