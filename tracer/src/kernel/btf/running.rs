//! The running kernel's BTF in memory.

use std::ffi::c_void;
use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// Where the running kernel publishes its BTF.
pub const RUNNING_KERNEL: &str = "/sys/kernel/btf/vmlinux";

/// The bytes of [`RUNNING_KERNEL`].
///
/// Where the kernel lets the file be mapped (6.18 does, 5.10 does not) nothing is
/// copied: the faults of 5 MB of fresh memory cost more than all that is done with
/// the bytes.
#[derive(Debug)]
pub struct RunningBtf(Bytes);

#[derive(Debug)]
enum Bytes {
    Mapped {
        start: NonNull<c_void>,
        length: NonZeroUsize,
    },
    Read(Vec<u8>),
}

impl RunningBtf {
    /// Maps the file, or reads it.
    ///
    /// # Errors
    /// When there is none ([`io::ErrorKind::NotFound`]) or it cannot be read.
    pub fn open() -> io::Result<Self> {
        let file = File::open(RUNNING_KERNEL)?;
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if let Some(length) = NonZeroUsize::new(length) {
            // SAFETY: a new mapping, which is nobody else's memory; the kernel
            // never changes or shortens this file.
            let mapped = unsafe {
                mmap(
                    None,
                    length,
                    ProtFlags::PROT_READ,
                    MapFlags::MAP_PRIVATE,
                    &file,
                    0,
                )
            };
            if let Ok(start) = mapped {
                return Ok(Self(Bytes::Mapped { start, length }));
            }
        }
        fs::read(RUNNING_KERNEL).map(|bytes| Self(Bytes::Read(bytes)))
    }
}

impl Deref for RunningBtf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            // SAFETY: `length` readable bytes from `start`, mapped until `self`
            // is dropped and never written.
            Bytes::Mapped { start, length } => unsafe {
                std::slice::from_raw_parts(start.as_ptr().cast(), length.get())
            },
            Bytes::Read(bytes) => bytes,
        }
    }
}

impl Drop for RunningBtf {
    fn drop(&mut self) {
        if let Bytes::Mapped { start, length } = self.0 {
            // SAFETY: the mapping made in `open`, which no slice outlives. It
            // cannot fail for a whole mapping, and nothing could be done if it did.
            let _ = unsafe { munmap(start, length.get()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_or_read_the_bytes_are_those_of_the_file() {
        let bytes = RunningBtf::open().expect("the running kernel's BTF");
        assert!(*bytes == fs::read(RUNNING_KERNEL).expect("read"));
    }
}
