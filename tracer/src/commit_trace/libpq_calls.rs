//! Where the walreceivers of a server call libpq.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::kernel::plt;
use crate::kernel::server::Server;

/// What a walreceiver calls, in the order of [`ReceiverCalls::jumps`].
const CALLS: [&str; 3] = ["PQgetCopyData", "PQputCopyData", "PQsocket"];
/// The library that a walreceiver loads to connect, in the server's `pkglibdir`.
const LIBRARY: &str = "libpqwalreceiver.so";
/// It is some 30 kB; whatever is called so is not read to its end.
const MAX_LIBRARY_BYTES: u64 = 16 << 20;
/// Where `pkglibdir` is from the directory of the program: as Debian and the project's own
/// packages have it, as the source has it, as Fedora has it.
const FROM_PROGRAM: [&str; 3] = ["../lib", "../lib/postgresql", "../lib64/pgsql"];

/// Where a library calls libpq.
#[derive(Debug)]
pub(super) struct ReceiverCalls {
    /// A path that leads to the library.
    pub(super) library: PathBuf,
    /// Device and inode of it.
    pub(super) identity: (u64, u64),
    /// At which byte of it the jumps are, by [`CALLS`].
    pub(super) jumps: [u64; CALLS.len()],
}

/// Finds the calls of a server's walreceivers.
pub(super) fn calls(server: &Server) -> Result<ReceiverCalls, String> {
    let mut found = directories(server).into_iter().filter_map(|directory| {
        let path = directory.join(LIBRARY);
        let file = open(&path)?;
        Some((path, file))
    });
    let (library, file) = found
        .next()
        .ok_or_else(|| format!("its {LIBRARY} was not found"))?;
    let unread = |error: std::io::Error| format!("its {LIBRARY} cannot be read: {error}");
    let about = file.metadata().map_err(unread)?;
    let mut image = Vec::new();
    let mut file = file.take(MAX_LIBRARY_BYTES);
    file.read_to_end(&mut image).map_err(unread)?;
    let found = plt::jumps(&image, &CALLS)
        .map_err(|error| format!("its {LIBRARY} cannot be understood: {error}"))?;
    let mut jumps = [0; CALLS.len()];
    for ((jump, found), name) in jumps.iter_mut().zip(found).zip(CALLS) {
        *jump = found.ok_or_else(|| format!("where its {LIBRARY} calls {name} was not found"))?;
    }
    Ok(ReceiverCalls {
        library,
        identity: (about.dev(), about.ino()),
        jumps,
    })
}

/// Where the library may be, as the server sees it, in paths that lead there from here.
fn directories(server: &Server) -> Vec<PathBuf> {
    let Ok(program) = server.program() else {
        return Vec::new();
    };
    let program = Path::new(&program).parent().unwrap_or(Path::new("/"));
    let near = FROM_PROGRAM.map(|way| program.join(way));
    let all = near.into_iter().chain(server.library_directories());
    all.map(|directory| server.seen_from_here(&directory))
        .collect()
}

/// A regular file, and nothing that waits for somebody.
fn open(path: &Path) -> Option<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}
