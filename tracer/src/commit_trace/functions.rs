//! Where PostgreSQL's functions begin that are watched.

use caps::Capability::CAP_SYS_PTRACE;

use crate::commit_trace::layout::{self, WalsenderFunctions};
use crate::kernel::preflight::why_forbidden;
use crate::kernel::{elf, server};

/// The functions that split a commit, in the order that [`program`](super::program) knows: writing the
/// log, waiting for the standby, and where all begins, for a transaction and for one
/// that was prepared before.
pub(crate) const SYMBOLS: [&str; 4] = [
    "XLogFlush",
    "SyncRepWaitForLSN",
    "FinishPreparedTransaction",
    "AfterTriggerEndXact",
];

/// Where functions are watched in a program's file.
pub(super) struct Functions {
    /// By [`SYMBOLS`].
    pub(super) commit: [u64; SYMBOLS.len()],
    pub(super) walsender: Result<WalsenderFunctions, String>,
}

/// Where the functions are watched in a server's program.
///
/// # Errors
/// Why they are not.
pub(super) fn functions(server: &server::Server) -> Result<Functions, String> {
    let pid = server.pid;
    let image = server.image().map_err(|error| {
        let missing = why_forbidden(&error, &[CAP_SYS_PTRACE]);
        format!("the program of process {pid} cannot be read: {error}{missing}")
    })?;
    let found = elf::offsets(&image, &SYMBOLS)
        .map_err(|error| format!("the program of process {pid} cannot be understood: {error}"))?;
    let mut commit = [0; SYMBOLS.len()];
    for ((place, offset), symbol) in commit.iter_mut().zip(found).zip(SYMBOLS) {
        let begins = offset
            .ok_or_else(|| format!("the program of process {pid} does not export {symbol}"))?;
        *place = elf::behind_landing_pad(&image, begins);
    }
    Ok(Functions {
        commit,
        walsender: layout::functions(&image),
    })
}
