//! Whether the servers that run here could be looked into.

use std::io;
use std::path::Path;

use super::gap;
use super::row::{Group::Postgresql, Row};
use crate::postgres::commits::SYMBOLS;
use crate::postgres::elf;
use crate::postgres::server::{self, Server};

/// Where the kernel lists what events can be opened with `perf_event_open(2)`.
const EVENT_SOURCES: &str = "/sys/bus/event_source/devices";

/// One row for the kernel's part, and one for each server.
pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![uprobes(Path::new(EVENT_SOURCES))];
    match server::all() {
        Ok(servers) if servers.is_empty() => rows.push(none("none is seen to run here")),
        Ok(servers) => rows.extend(servers.iter().map(row)),
        Err(error) => rows.push(none(&format!("/proc cannot be read: {error}"))),
    }
    rows
}

fn none(why: &str) -> Row {
    Row::unknown(Postgresql, "server", why)
}

fn uprobes(sources: &Path) -> Row {
    const NAME: &str = "uprobes";
    match (
        sources.join("uprobe/type").try_exists(),
        sources.try_exists(),
    ) {
        (Ok(true), _) => Row::yes(Postgresql, NAME, "the kernel has them"),
        (Ok(false), Ok(true)) => Row::no(Postgresql, NAME, "this kernel has none", gap::UPROBES),
        (Ok(_), Ok(false)) => {
            let why = format!("{} does not exist: is /sys mounted?", sources.display());
            Row::unknown(Postgresql, NAME, why)
        }
        (Err(error), _) | (_, Err(error)) => {
            let why = format!("{} cannot be read: {error}", sources.display());
            Row::unknown(Postgresql, NAME, why)
        }
    }
}

fn row(server: &Server) -> Row {
    let missing = server.image().map(|image| elf::missing(&image, &SYMBOLS));
    describe(
        server.pid,
        server.version().as_deref(),
        server.program(),
        missing,
    )
}

fn describe(
    pid: u32,
    version: Option<&str>,
    program: io::Result<String>,
    missing: io::Result<Result<Vec<&str>, object::read::Error>>,
) -> Row {
    let name = format!("server, pid {pid}");
    let version = version.map_or_else(
        || "version not known".to_owned(),
        |version| format!("version {version}"),
    );
    let program = match program {
        Ok(program) => program,
        Err(error) => {
            let why = format!("{version}; its program may not be looked at: {error}");
            return Row::unknown(Postgresql, name, why);
        }
    };
    match missing {
        Ok(Ok(missing)) if missing.is_empty() => {
            let found = format!("{version}, {program}: has all {}", SYMBOLS.len());
            Row::yes(Postgresql, name, found)
        }
        Ok(Ok(missing)) => {
            let found = format!(
                "{version}, {program}: does not export {}",
                missing.join(", ")
            );
            Row::no(Postgresql, name, found, gap::SYMBOLS)
        }
        Ok(Err(error)) => {
            let why = format!("{version}, {program} cannot be understood: {error}");
            Row::unknown(Postgresql, name, why)
        }
        Err(error) => {
            let why = format!("{version}, {program} cannot be read: {error}");
            Row::unknown(Postgresql, name, why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_looked_at_is_unknown() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let program = || Ok("/usr/bin/postgres".to_owned());
        let row = describe(7, None, Err(denied()), Err(denied()));
        assert_eq!(row.ok, None);
        assert_eq!(describe(7, None, program(), Err(denied())).ok, None);
        let row = describe(7, Some("15"), program(), Ok(Ok(vec!["XLogFlush"])));
        assert_eq!(row.ok, Some(false));
        assert!(row.found.contains("XLogFlush") && row.found.contains("15"));
        let row = describe(7, Some("15"), program(), Ok(Ok(Vec::new())));
        assert_eq!(row.ok, Some(true));
    }

    #[test]
    fn uprobes_are_known_only_where_event_sources_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(uprobes(folder.path()).ok, Some(false));
        assert_eq!(uprobes(&folder.path().join("none")).ok, None);
        std::fs::create_dir(folder.path().join("uprobe")).unwrap();
        std::fs::write(folder.path().join("uprobe/type"), "9\n").unwrap();
        assert_eq!(uprobes(folder.path()).ok, Some(true));
    }
}
