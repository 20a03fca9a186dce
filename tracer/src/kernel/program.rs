//! What a process runs: by the file that the kernel took it from and by what is in that,
//! not by a name that anybody can give. A link, a copy, `exec -a`, a package that calls
//! its server `postmaster` or `edb-postgres`: all of these are PostgreSQL, and a script
//! that is called `postgres` is not.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::kernel::elf;
use tracer_core::report::process::Program;

/// What every version of the server exports for its extensions, and nothing else does
/// ([`postmaster.h`](https://github.com/postgres/postgres/blob/REL_15_STABLE/src/include/postmaster/postmaster.h),
/// [`tcopprot.h`](https://github.com/postgres/postgres/blob/REL_15_STABLE/src/include/tcop/tcopprot.h)).
const EXPORTS: [&str; 2] = ["PostmasterMain", "PostgresMain"];

/// How the server begins the titles of its processes, whatever its program is called
/// ([`ps_status.c`](https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/utils/misc/ps_status.c)).
pub(crate) const TITLE: &[u8] = b"postgres: ";

/// Files of which it is remembered what they are; a host runs fewer.
const MAX_FILES: usize = 1024;
/// The most arguments of an interpreter that are looked at for its script.
const MAX_ARGUMENTS: usize = 32;

/// Of the process with this directory in `/proc`, which the kernel calls `comm`.
pub(crate) fn of(directory: &Path, comm: &str) -> Option<Program> {
    let Ok(path) = fs::read_link(directory.join("exe")) else {
        return Program::by_name(comm.as_bytes());
    };
    let name = file_name(&path);
    if is_python(name) {
        return runs_patroni(directory).then_some(Program::Patroni);
    }
    match Program::by_name(name) {
        Some(Program::Postgres) => is_server(directory, &path).then_some(Program::Postgres),
        Some(program) => Some(program),
        // Its file is opened only if it says that it is one: who knows where the
        // others' are, and whether they can be read.
        None if says_so(directory) => is_server(directory, &path).then_some(Program::Postgres),
        None => None,
    }
}

/// The last part of the path of a program; the kernel adds a word to that of a file that
/// is gone, as after an upgrade.
fn file_name(path: &Path) -> &[u8] {
    let name = path.file_name().unwrap_or_default().as_bytes();
    name.strip_suffix(b" (deleted)").unwrap_or(name)
}

/// Whether a file with this path is called as servers are.
pub(crate) fn is_called_so(path: &Path) -> bool {
    Program::by_name(file_name(path)) == Some(Program::Postgres)
}

fn says_so(directory: &Path) -> bool {
    fs::read(directory.join("cmdline")).is_ok_and(|line| line.starts_with(TITLE))
}

/// Whether the process runs the server, from the file with this path: that is what
/// exports the server's functions, or is called so and works in a directory of its data.
pub(crate) fn is_server(directory: &Path, path: &Path) -> bool {
    match exports(&directory.join("exe")) {
        Ok(true) => true,
        Ok(false) => is_called_so(path) && has_data(directory),
        // What ended meanwhile is none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(_) => is_called_so(path),
    }
}

/// The server's processes work in the directory of its data.
fn has_data(directory: &Path) -> bool {
    let data = directory.join("cwd");
    let is_there = |name| fs::symlink_metadata(data.join(name)).is_ok_and(|file| file.is_file());
    is_there("PG_VERSION") && is_there("global/pg_control")
}

/// A file, as long as it is there and is not written to.
type FileIdentity = (u64, u64, u64, i64, i64);

/// Whether a program's file exports what the server does. Looked at once: it is asked at
/// every look, and of many processes.
fn exports(file: &Path) -> io::Result<bool> {
    static KNOWN: LazyLock<Mutex<HashMap<FileIdentity, bool>>> = LazyLock::new(Mutex::default);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let about = fs::metadata(file)?;
    let changed = (about.ctime(), about.ctime_nsec());
    let identity = (about.dev(), about.ino(), about.size(), changed.0, changed.1);
    if let Some(found) = known().get(&identity) {
        return Ok(*found);
    }
    let found = elf::exports(File::open(file)?, &EXPORTS);
    let mut known = known();
    if known.len() >= MAX_FILES {
        known.clear();
    }
    known.insert(identity, found);
    Ok(found)
}

fn is_python(name: &[u8]) -> bool {
    [&b"python"[..], b"pypy"]
        .iter()
        .any(|one| name.starts_with(one))
}

/// Whether an interpreter of Python runs Patroni: as a script or as a module.
fn runs_patroni(directory: &Path) -> bool {
    let line = fs::read(directory.join("cmdline")).unwrap_or_default();
    is_patroni(&line)
}

/// Whether arguments, each of which ends with NUL, are those of an interpreter that does.
pub(crate) fn is_patroni(line: &[u8]) -> bool {
    let mut arguments = line.split(|byte| *byte == 0).skip(1).take(MAX_ARGUMENTS);
    while let Some(argument) = arguments.next() {
        match argument {
            b"-m" => return arguments.next() == Some(b"patroni"),
            b"-c" => return false,
            // These take the next one with them.
            b"-W" | b"-X" => _ = arguments.next(),
            option if option.starts_with(b"-") => {}
            script => {
                let name = script.rsplit(|byte| *byte == b'/').next();
                return matches!(name, Some(b"patroni" | b"patroni.py"));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_has_ended_is_told_by_its_name() {
        let gone = Path::new("/proc/0");
        for (name, program) in [
            ("postgres", Some(Program::Postgres)),
            ("postmaster", Some(Program::Postgres)),
            ("edb-postgres", Some(Program::Postgres)),
            ("pg_receivewal", Some(Program::PgReceivewal)),
            ("patroni", Some(Program::Patroni)),
            ("etcd", Some(Program::Etcd)),
            ("postgres_export", None),
            ("pg_ctl", None),
            ("", None),
        ] {
            assert_eq!(of(gone, name), program, "{name}");
        }
    }

    #[test]
    fn a_file_that_is_gone_keeps_its_name() {
        for (path, expected) in [
            ("/usr/lib/postgresql/15/bin/postgres", true),
            ("/usr/lib/postgresql/15/bin/postgres (deleted)", true),
            ("/usr/pgsql-15/bin/postmaster", true),
            ("/usr/edb/as15/bin/edb-postgres (deleted)", true),
            ("/usr/bin/postgres_exporter", false),
            ("/usr/bin/pg_ctl", false),
            ("/", false),
        ] {
            assert_eq!(is_called_so(Path::new(path)), expected, "{path}");
        }
    }

    /// A directory like one of `/proc`, of a process that runs this file.
    fn process(program: &Path, title: &[u8], data: bool) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        symlink(program, folder.path().join("exe")).unwrap();
        fs::write(folder.path().join("cmdline"), title).unwrap();
        let cwd = folder.path().join("cwd/global");
        fs::create_dir_all(&cwd).unwrap();
        if data {
            fs::write(folder.path().join("cwd/PG_VERSION"), "15\n").unwrap();
            fs::write(cwd.join("pg_control"), "").unwrap();
        }
        folder
    }

    #[test]
    fn a_name_or_a_title_alone_makes_no_server() {
        // This test, which exports nothing, under the server's name.
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().join("postgres");
        fs::copy("/proc/self/exe", &named).unwrap();
        let other = folder.path().join("other");
        fs::copy("/proc/self/exe", &other).unwrap();
        let of = |program: &Path, title: &[u8], data| {
            of(process(program, title, data).path(), "postgres")
        };
        assert_eq!(of(&named, b"postgres: walsender", false), None);
        assert_eq!(of(&other, b"postgres: walsender", true), None);
        assert_eq!(
            of(Path::new("/bin/sh"), b"/bin/sh\0./postgres\0", true),
            None
        );
        // A build of somebody's that exports nothing, and works where a server does.
        assert_eq!(of(&named, b"-D\0", true), Some(Program::Postgres));
    }

    #[test]
    fn patroni_is_what_python_runs() {
        for (line, expected) in [
            (
                &b"/usr/bin/python3\0/usr/bin/patroni\0/etc/patroni.yml\0"[..],
                true,
            ),
            (b"python3\0-m\0patroni\0/etc/patroni.yml\0", true),
            (b"python3\0-u\0-X\0dev\0/opt/patroni/patroni.py\0", true),
            (b"python3\0/usr/bin/patronictl\0list\0", false),
            (b"python3\0/usr/bin/x\0patroni\0", false),
            (b"python3\0-c\0patroni\0", false),
            (b"python3\0", false),
            (b"", false),
        ] {
            let shown = String::from_utf8_lossy(line);
            assert_eq!(is_patroni(line), expected, "{shown}");
        }
        let python = tempfile::tempdir().unwrap();
        let python = python.path().join("python3.11");
        let runs = process(&python, b"python3\0/usr/bin/patroni\0", false);
        assert_eq!(of(runs.path(), "python3"), Some(Program::Patroni));
        let runs = process(&python, b"python3\0/srv/app\0", false);
        assert_eq!(of(runs.path(), "patroni"), None);
    }
}
