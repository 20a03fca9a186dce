//! The PostgreSQL servers that run here, as `/proc` shows them: in containers too.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tracer_core::report::process::Program;

use crate::kernel::parent::parent_of;
use crate::kernel::process::printable;
use crate::kernel::program;

/// Larger than any build; the file is whatever calls itself so.
const MAX_PROGRAM_BYTES: u64 = 512 << 20;
/// Of a server that has loaded hundreds of libraries.
const MAX_MAPS_BYTES: u64 = 8 << 20;
/// `PG_VERSION` holds one short line.
const MAX_VERSION_BYTES: u64 = 16;
/// `postmaster.pid` holds a few lines, one of them a path.
const MAX_PID_FILE_BYTES: u64 = 8 << 10;

/// One server: its first process.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) pid: u32,
    directory: PathBuf,
}

/// Every first process of a server that can be seen.
///
/// # Errors
/// If `/proc` cannot be listed.
pub(crate) fn all() -> io::Result<Vec<Server>> {
    let files = files()?;
    let parents: HashMap<u32, Option<u32>> =
        files.keys().map(|pid| (*pid, parent_of(*pid))).collect();
    // A server is called so, or has children that run the same file as it does. Others'
    // files are not even opened: who knows where they are, and whether they can be read.
    let mut candidates: BTreeSet<u32> = files
        .iter()
        .filter(|(_, file)| file.as_deref().is_none_or(program::is_called_so))
        .map(|(pid, _)| *pid)
        .collect();
    candidates.extend(parents.iter().filter_map(|(pid, parent)| {
        let (own, parents) = (files.get(pid)?, files.get(&(*parent)?)?);
        (own.is_some() && own == parents).then_some((*parent)?)
    }));
    let found: BTreeSet<u32> = candidates
        .into_iter()
        .filter(|pid| is_server(&directory(*pid)))
        .collect();
    // Every other process of a server is a child of its first. What has ended meanwhile,
    // and so has no parent to tell, is not the first either.
    let is_first = |pid: &u32| {
        let parent = parents.get(pid).copied().flatten();
        parent.is_some_and(|parent| !found.contains(&parent))
    };
    let servers = found.iter().copied().filter(is_first);
    Ok(servers
        .map(|pid| Server {
            pid,
            directory: directory(pid),
        })
        .collect())
}

/// What every process runs that runs a file: its path, `None` where that may not be
/// looked at.
fn files() -> io::Result<HashMap<u32, Option<PathBuf>>> {
    let mut files = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        match fs::read_link(entry.path().join("exe")) {
            Ok(path) => _ = files.insert(pid, Some(path)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                files.insert(pid, None);
            }
            // Kernel threads have none; a process that ended is none.
            Err(_) => {}
        }
    }
    Ok(files)
}

fn directory(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// By its file, or by its own name where that may not be looked at.
fn is_server(directory: &Path) -> bool {
    match fs::read_link(directory.join("exe")) {
        Ok(path) => program::is_server(directory, &path),
        // Kernel threads have none; a process that ended is none.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let comm = fs::read(directory.join("comm")).unwrap_or_default();
            let name = comm.strip_suffix(b"\n").unwrap_or(&comm);
            Program::by_name(name) == Some(Program::Postgres)
        }
        Err(_) => false,
    }
}

impl Server {
    /// The server whose first process this is, which the caller knows: another process of
    /// a server is not told from it. `None` if it is none's, or has ended.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let directory = directory(pid);
        is_server(&directory).then_some(Self { pid, directory })
    }

    /// Path of its program, as seen in its own container.
    pub(crate) fn program(&self) -> io::Result<String> {
        let path = fs::read_link(self.directory.join("exe"))?;
        Ok(printable(path.as_os_str().as_bytes()))
    }

    /// Its program, whatever has become of the path.
    pub(crate) fn image(&self) -> io::Result<Vec<u8>> {
        let mut image = Vec::new();
        let file = File::open(self.directory.join("exe"))?;
        file.take(MAX_PROGRAM_BYTES).read_to_end(&mut image)?;
        Ok(image)
    }

    /// A path that leads to its program's very file: that of its own container, and
    /// also when it has no name any more.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.join("exe")
    }

    /// Device and inode of that file.
    pub(crate) fn identity(&self) -> io::Result<(u64, u64)> {
        let file = fs::metadata(self.file())?;
        Ok((file.dev(), file.ino()))
    }

    /// Where the first byte of its program is in its memory.
    ///
    /// # Errors
    /// If that may not be looked at, or it has ended.
    pub(crate) fn loaded_at(&self) -> io::Result<u64> {
        let program = fs::read_link(self.file())?;
        let maps = self.maps()?;
        let program = program.as_os_str().as_bytes();
        let lines = maps.split(|byte| *byte == b'\n');
        let mut starts = lines.filter_map(|line| first_byte(line, program));
        starts.next().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "its program is not in its memory")
        })
    }

    fn maps(&self) -> io::Result<Vec<u8>> {
        let file = File::open(self.directory.join("maps"))?;
        let mut maps = Vec::new();
        file.take(MAX_MAPS_BYTES).read_to_end(&mut maps)?;
        Ok(maps)
    }

    /// The directories of the libraries that it has loaded, as it sees them.
    pub(crate) fn library_directories(&self) -> Vec<PathBuf> {
        let maps = self.maps().unwrap_or_default();
        let lines = maps.split(|byte| *byte == b'\n');
        let libraries = lines.filter_map(|line| {
            let path = line.iter().position(|byte| *byte == b'/')?;
            let path = Path::new(OsStr::from_bytes(line.get(path..)?));
            let is_one = path.extension().is_some_and(|one| one == "so");
            is_one.then(|| path.parent().map(Path::to_path_buf))?
        });
        let directories: BTreeSet<_> = libraries.collect();
        directories.into_iter().collect()
    }

    /// A path that it sees, as it is seen from here.
    pub(crate) fn seen_from_here(&self, path: &Path) -> PathBuf {
        let path = path.strip_prefix("/").unwrap_or(path);
        self.directory.join("root").join(path)
    }

    /// Whether it replays what another server sends it: it was started as a standby.
    pub(crate) fn is_standby(&self) -> bool {
        let signal = self.directory.join("cwd/standby.signal");
        signal.symlink_metadata().is_ok()
    }

    /// The directory of its data, as seen in its own container.
    pub(crate) fn data(&self) -> Option<String> {
        let path = fs::read_link(self.directory.join("cwd")).ok()?;
        Some(printable(path.as_os_str().as_bytes()))
    }

    /// Inode of its network namespace.
    pub(crate) fn netns(&self) -> Option<u32> {
        let file = fs::metadata(self.directory.join("ns/net")).ok()?;
        u32::try_from(file.ino()).ok()
    }

    /// Its port: the fourth line of `postmaster.pid`.
    pub(crate) fn port(&self) -> Option<u16> {
        let text = self.read("postmaster.pid", MAX_PID_FILE_BYTES)?;
        text.lines().nth(3)?.trim().parse().ok()
    }

    /// Its major version, such as `15`: what `PG_VERSION` says in the directory of
    /// its data, which is its working directory.
    pub(crate) fn version(&self) -> Option<String> {
        let text = self.read("PG_VERSION", MAX_VERSION_BYTES)?;
        version(&text).map(str::to_owned)
    }

    /// What it has in common with its standbys and with no other server: the first
    /// field of `struct ControlFileData`
    /// (<https://github.com/postgres/postgres/blob/REL_15_STABLE/src/include/catalog/pg_control.h>).
    pub(crate) fn system_identifier(&self) -> Option<u64> {
        let bytes = self.bytes("global/pg_control", 8)?;
        Some(u64::from_ne_bytes(*bytes.first_chunk()?))
    }

    /// The beginning of a text file of its data.
    fn read(&self, name: &str, most: u64) -> Option<String> {
        String::from_utf8(self.bytes(name, most)?).ok()
    }

    /// The beginning of a file of its data.
    fn bytes(&self, name: &str, most: u64) -> Option<Vec<u8>> {
        let file = OpenOptions::new()
            .read(true)
            // Whose directory it is, nobody knows: no link of theirs is followed,
            // and no pipe waited for.
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(self.directory.join("cwd").join(name))
            .ok()?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }
}

/// Where a line of `/proc/PID/maps` begins in memory, if it is that of the first byte of a
/// file. Known by its path: its device and inode are others' on stacked file systems
/// ([proc_pid_maps(5)](https://man7.org/linux/man-pages/man5/proc_pid_maps.5.html)).
fn first_byte(line: &[u8], path: &[u8]) -> Option<u64> {
    let fields = line.strip_suffix(path)?;
    let mut fields = str::from_utf8(fields).ok()?.split_ascii_whitespace();
    let (start, _) = fields.next()?.split_once('-')?;
    let (_rights, offset) = (fields.next()?, fields.next()?);
    let (_device, inode) = (fields.next()?, fields.next()?);
    let whole = fields.next().is_none() && inode != "0";
    let number = |text| u64::from_str_radix(text, 16).ok();
    (whole && number(offset)? == 0).then(|| number(start))?
}

/// Digits and dots, or it is no version.
pub(crate) fn version(text: &str) -> Option<&str> {
    let text = text.trim_end();
    let valid = |c: char| c.is_ascii_digit() || c == '.';
    (!text.is_empty() && text.chars().all(valid)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_digits_and_dots() {
        assert_eq!(version("15\n"), Some("15"));
        assert_eq!(version("9.6\n"), Some("9.6"));
        for other in ["", "\n", "root:x:0:0", "15 beta", "\u{1b}[2J"] {
            assert_eq!(version(other), None, "{other:?}");
        }
    }

    #[test]
    fn where_a_file_is_loaded_is_where_its_first_byte_is() {
        let lines = [
            "5581a000-5581b000 r--p 00000000 fe:00 24 /usr/bin/postgres",
            "5581b000-5581c000 r-xp 00001000 fe:00 24 /usr/bin/postgres",
            "7f00-8f00 r--p 00000000 fe:00 25 /other /usr/bin/postgres",
            "7f00-8f00 rw-p 00000000 00:00 0 /usr/bin/postgres",
            "7f00-8f00 rw-p 00000000 00:00 0 ",
        ];
        let found = lines.map(|line| first_byte(line.as_bytes(), b"/usr/bin/postgres"));
        assert_eq!(found, [Some(0x5581_a000), None, None, None, None]);
        let deleted = b"10-20 r--p 00000000 fe:00 24 /a b (deleted)";
        assert_eq!(first_byte(deleted, b"/a b (deleted)"), Some(0x10));
    }

    #[test]
    fn this_test_is_no_server_and_can_be_read_like_one() {
        let pid = std::process::id();
        assert!(all().unwrap().iter().all(|server| server.pid != pid));
        let this = Server {
            pid,
            directory: "/proc/self".into(),
        };
        assert!(this.program().unwrap().starts_with('/'));
        assert!(this.image().unwrap().starts_with(b"\x7fELF"));
        assert_eq!((this.version(), this.port()), (None, None));
        let loaded = this.loaded_at().unwrap() as *const [u8; 4];
        // SAFETY: the first bytes of this program, which are there as long as it runs.
        assert_eq!(unsafe { &*loaded }, b"\x7fELF");
        assert!(this.netns().is_some() && this.identity().is_ok());
        assert!(Server::of(pid).is_none());
    }
}
