//! The counters of one network namespace, read again and again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use tracer_core::kernel_counters::{Tcp, TcpExt};

/// The files as the calling thread sees them. `thread-self` and not `self`: a
/// thread that entered another namespace sees that one's counters.
const SNMP: &str = "/proc/thread-self/net/snmp";
const NETSTAT: &str = "/proc/thread-self/net/netstat";
/// Twice what a 6.18 kernel writes.
const FIRST_BUFFER: usize = 8 * 1024;
/// No kernel has so many counters: an end to the growth.
const LARGEST_BUFFER: usize = 1024 * 1024;

/// The counters could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the kernel's TCP counters from {path}: {cause}; is /proc mounted?")]
pub(crate) struct CountersError {
    path: &'static str,
    cause: io::Error,
}

/// The open file of the `Tcp:` counters of the network namespace that the calling thread
/// was in when it opened it. It stays with that namespace wherever the thread, or
/// the thread that reads it, goes.
///
/// Nothing is allocated by a reading.
#[derive(Debug)]
pub(crate) struct CounterFile {
    snmp: File,
    buffer: Vec<u8>,
}

impl CounterFile {
    /// Opens the file of the calling thread's namespace.
    ///
    /// # Errors
    /// When `/proc` is not mounted or not readable.
    pub(crate) fn open() -> Result<Self, CountersError> {
        Ok(Self {
            snmp: open(SNMP)?,
            buffer: vec![0; FIRST_BUFFER],
        })
    }

    /// The `Tcp:` counters now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn tcp(&mut self) -> Result<Tcp, CountersError> {
        read(&self.snmp, &mut self.buffer)
            .map(Tcp::parse)
            .map_err(|cause| CountersError { path: SNMP, cause })
    }
}

/// The `TcpExt:` counters of the calling thread's namespace now.
///
/// # Errors
/// When the file cannot be opened or read.
pub(crate) fn tcp_ext() -> Result<TcpExt, CountersError> {
    read(&open(NETSTAT)?, &mut vec![0; FIRST_BUFFER])
        .map(TcpExt::parse)
        .map_err(|cause| CountersError {
            path: NETSTAT,
            cause,
        })
}

fn open(path: &'static str) -> Result<File, CountersError> {
    File::open(path).map_err(|cause| CountersError { path, cause })
}

/// The whole text. The kernel makes it anew for a read at offset 0, and gives it
/// in one piece if the buffer holds it (`fs/seq_file.c`: one record each); a
/// second read would see other counts.
fn read<'b>(file: &File, buffer: &'b mut Vec<u8>) -> io::Result<&'b str> {
    loop {
        let length = file.read_at(buffer, 0)?;
        if length < buffer.len() {
            let text = buffer.get(..length).unwrap_or_default();
            return std::str::from_utf8(text).map_err(io::Error::other);
        }
        if buffer.len() >= LARGEST_BUFFER {
            return Err(io::Error::other("the file does not end"));
        }
        buffer.resize(buffer.len().saturating_mul(2), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_counters_and_they_only_grow() {
        let mut file = CounterFile::open().expect("counters");
        let (first, first_ext) = (file.tcp().expect("tcp"), tcp_ext().expect("ext"));
        let (second, second_ext) = (file.tcp().expect("tcp"), tcp_ext().expect("ext"));
        assert!(first.retrans_segs.is_some() && first_ext.timeouts.is_some());
        assert!(second.in_segs >= first.in_segs && second_ext.timeouts >= first_ext.timeouts);
    }

    #[test]
    fn a_buffer_that_is_too_small_grows() {
        let mut file = CounterFile::open().expect("counters");
        file.buffer = vec![0; 16];
        assert!(file.tcp().expect("tcp").retrans_segs.is_some());
        assert!(file.buffer.len() >= 1024);
    }
}
