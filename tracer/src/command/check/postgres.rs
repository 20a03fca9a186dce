//! Whether the commits of the servers that run here could be traced.

use std::io;

use caps::Capability::CAP_SYS_PTRACE;

use crate::command::check::row::Group::Postgresql;
use crate::command::check::row::Row;
use crate::command::check::shortfall::{self, Shortfall};
use crate::commit_trace::{self, SYMBOLS};
use crate::kernel::elf;
use crate::kernel::preflight::why_forbidden;
use crate::kernel::server::{self, Server};
use crate::kernel::uprobes::{self, Answer};

/// One row for the kernel's part, and one for each server.
pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![uprobes(&uprobes::ask())];
    match server::all() {
        Ok(servers) if servers.is_empty() => rows.push(none("none is seen to run here")),
        Ok(servers) => rows.extend(
            servers
                .iter()
                .flat_map(|one| [row(one), waits(one), received(one)]),
        ),
        Err(error) => rows.push(none(&format!("/proc cannot be read: {error}"))),
    }
    rows
}

fn none(why: &str) -> Row {
    Row::unknown(Postgresql, "server", why)
}

fn uprobes(answer: &Answer) -> Row {
    const NAME: &str = "uprobes";
    match answer {
        Answer::Allowed => Row::yes(
            Postgresql,
            NAME,
            "the kernel has them, and lets us use them",
        ),
        Answer::Absent => Row::no(Postgresql, NAME, "this kernel has none", shortfall::UPROBES),
        Answer::Forbidden(why) => {
            // The words end with what helps.
            let (found, remedy) = why.rsplit_once("; ").unwrap_or((why, shortfall::SUDO));
            let gap = Shortfall {
                consequence: shortfall::UPROBES_FORBIDDEN,
                remedy,
            };
            Row::no(Postgresql, NAME, format!("not permitted: {found}"), gap)
        }
        Answer::Unknown(why) => Row::unknown(Postgresql, NAME, why),
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

/// Whether what its commits wait for a standby can be split.
fn waits(server: &Server) -> Row {
    let name = format!("waits, pid {}", server.pid);
    match commit_trace::follows(server) {
        Ok(()) => Row::yes(
            Postgresql,
            name,
            "can be followed through the walsender, stage by stage",
        ),
        Err(reason) => Row::no(Postgresql, name, reason, shortfall::STAGES),
    }
}

/// Whether the WAL that it receives as a standby can be followed.
fn received(server: &Server) -> Row {
    let name = format!("WAL received, pid {}", server.pid);
    match commit_trace::receives(server) {
        Ok(()) => Row::yes(
            Postgresql,
            name,
            "can be followed through the walreceiver, where it is a standby",
        ),
        Err(reason) => Row::no(Postgresql, name, reason, shortfall::RECEIVED),
    }
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
            let missing = why_forbidden(&error, &[CAP_SYS_PTRACE]);
            let why = format!("{version}; its program may not be read: {error}{missing}");
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
            Row::no(Postgresql, name, found, shortfall::SYMBOLS)
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
    fn what_the_kernel_forbids_has_its_remedy() {
        assert_eq!(uprobes(&Answer::Allowed).ok, Some(true));
        assert_eq!(uprobes(&Answer::Absent).ok, Some(false));
        assert_eq!(uprobes(&Answer::Unknown("x".to_owned())).ok, None);
        let why = "denied; CAP_SYS_ADMIN is missing; run it with sudo".to_owned();
        let row = uprobes(&Answer::Forbidden(why));
        assert_eq!(row.ok, Some(false));
        assert!(row.found.ends_with("CAP_SYS_ADMIN is missing"));
        assert_eq!(row.remedy.as_deref(), Some("run it with sudo"));
    }
}
