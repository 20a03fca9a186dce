//! The walreceivers of this host's standbys: what is watched so that WAL can be followed through
//! them.

use std::collections::{BTreeMap, BTreeSet};

use crate::commit_trace::libpq_calls::calls;
use crate::commit_trace::program::Program;
use crate::kernel::elf;
use crate::kernel::server::Server;

/// What its flush is (`XLogWalRcvFlush()`,
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/replication/walreceiver.c>).
const FLUSH: &str = "issue_xlog_fsync";
/// What is done to follow the walreceivers of servers, once for each file.
#[derive(Debug, Default)]
pub(super) struct Walreceivers {
    libraries: BTreeSet<(u64, u64)>,
    programs: BTreeSet<(u64, u64)>,
    /// Standbys by their first process, and why not all is followed there, if it is not.
    pub(super) standbys: BTreeMap<u32, Option<String>>,
}

impl Walreceivers {
    /// Follows those of these servers that are standbys. A primary flushes in the same function,
    /// and workers of logical replication, of which there are none on a standby, use the same
    /// library: each flush and each change that is applied would be held up.
    pub(super) fn attach(program: &mut Program, servers: &[Server]) -> Self {
        let mut found = Self::default();
        for server in servers.iter().filter(|one| one.is_standby()) {
            let calls = found.attach_calls(program, server);
            let attached = calls.and_then(|()| found.attach_flush(program, server));
            found.standbys.insert(server.pid, attached.err());
        }
        found
    }

    fn attach_calls(&mut self, program: &mut Program, server: &Server) -> Result<(), String> {
        let calls = calls(server)?;
        if !self.libraries.contains(&calls.identity) {
            let attached = program.attach_walreceiver(&calls);
            attached.map_err(|error| error.to_string())?;
            self.libraries.insert(calls.identity);
        }
        Ok(())
    }

    fn attach_flush(&mut self, program: &mut Program, server: &Server) -> Result<(), String> {
        let unread = |error: std::io::Error| format!("its program cannot be read: {error}");
        let identity = server.identity().map_err(unread)?;
        if !self.programs.contains(&identity) {
            let begins = flush(&server.image().map_err(unread)?)?;
            let attached = program.attach_receiver_flush(&server.file(), begins);
            attached.map_err(|error| format!("its flushes: {error}"))?;
            self.programs.insert(identity);
        }
        Ok(())
    }
}

/// Whether the WAL that a server receives as a standby can be followed.
///
/// # Errors
/// Why not.
pub(crate) fn receives(server: &Server) -> Result<(), String> {
    calls(server)?;
    let image = server
        .image()
        .map_err(|error| format!("its program cannot be read: {error}"))?;
    flush(&image).map(drop)
}

/// At which byte of a server's program the flush begins.
fn flush(image: &[u8]) -> Result<u64, String> {
    let found = elf::offsets(image, &[FLUSH])
        .map_err(|error| format!("its program cannot be understood: {error}"))?;
    let begins = found.into_iter().flatten().next();
    let begins = begins.ok_or_else(|| format!("its program does not export {FLUSH}"))?;
    Ok(elf::behind_landing_pad(image, begins))
}
