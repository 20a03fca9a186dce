//! Where a server keeps what is read of its walsenders, and which functions of its are
//! watched for that.

use std::fs::File;

use caps::Capability::CAP_SYS_PTRACE;
use tracer_ebpf::{ServerLayout, WalsenderHook};

use crate::kernel::preflight::why_forbidden;
use crate::kernel::{elf, server};

/// Versions whose structures are known (`WalSndCtlData` in `walsender_private.h`, `Port` in
/// `libpq-be.h`).
const KNOWN: std::ops::RangeInclusive<u32> = 13..=18;

/// The variables, in the order of [`ServerLayout`].
const VARIABLES: [&str; 6] = [
    "MyWalSnd",
    "WalSndCtl",
    "MyProcPort",
    "am_db_walsender",
    "synchronous_commit",
    "SyncRepStandbyNames",
];

/// What a walsender calls to read the WAL that it sends: the first that there is. Version 17
/// brought the first, which is tried before the other.
const WAL_READS: [&str; 2] = ["WALReadFromBuffers", "WALRead"];
const RELEASE: &str = "SyncRepReleaseWaiters";

/// Where a walsender's functions are watched in a program's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WalsenderFunctions {
    /// The kernel program for what it calls to read WAL, and where that begins.
    pub(super) wal_read: (&'static str, u64),
    /// Where what releases waits begins.
    pub(super) release: u64,
}

/// Finds the functions in a server's program.
pub(super) fn functions(image: &[u8]) -> Result<WalsenderFunctions, String> {
    let wanted = [WAL_READS[0], WAL_READS[1], RELEASE];
    let found = elf::offsets(image, &wanted).map_err(|error| misread(&error))?;
    let begins = |at: usize| {
        let offset = found.get(at).copied().flatten();
        offset.map(|offset| elf::behind_landing_pad(image, offset))
    };
    let wal_read = match (begins(0), begins(1)) {
        (Some(offset), _) => ("wal_read_buffers", offset),
        (None, Some(offset)) => ("wal_read", offset),
        (None, None) => return Err(format!("its program does not export {}", WAL_READS[1])),
    };
    Ok(WalsenderFunctions {
        wal_read,
        release: begins(2).ok_or_else(|| format!("its program does not export {RELEASE}"))?,
    })
}

/// Finds the variables in a server's memory.
pub(super) fn layout(server: &server::Server) -> Result<ServerLayout, String> {
    let version = server.version();
    let major: Option<u32> = version.as_deref().and_then(|one| one.parse().ok());
    if !major.is_some_and(|major| KNOWN.contains(&major)) {
        return Err(format!(
            "what a walsender of version {} looks like is not known, only of {} to {}",
            version.as_deref().unwrap_or("?"),
            KNOWN.start(),
            KNOWN.end()
        ));
    }
    let forbidden = |what: &str, error: std::io::Error| {
        let missing = why_forbidden(&error, &[CAP_SYS_PTRACE]);
        format!("its {what} cannot be read: {error}{missing}")
    };
    let program = File::open(server.file()).map_err(|error| forbidden("program", error))?;
    let loaded = server
        .loaded_at()
        .map_err(|error| forbidden("memory's map", error))?;
    // Not all of it: it would be as much memory for each server that starts.
    let found = elf::addresses_in(program, &VARIABLES).map_err(|error| misread(&error))?;
    let first = found
        .first
        .ok_or("its program does not load its beginning")?;
    let mut addresses = [0; VARIABLES.len()];
    for ((address, found), name) in addresses.iter_mut().zip(found.wanted).zip(VARIABLES) {
        let found = found.ok_or_else(|| format!("its program does not export {name}"))?;
        *address = found.wrapping_sub(first).wrapping_add(loaded);
    }
    let [
        my_walsnd,
        walsnd_ctl,
        my_proc_port,
        am_db_walsender,
        synchronous_commit,
        standby_names,
    ] = addresses;
    Ok(ServerLayout {
        my_walsnd,
        walsnd_ctl,
        my_proc_port,
        am_db_walsender,
        synchronous_commit,
        standby_names,
        calls: [0; WalsenderHook::COUNT],
    })
}

fn misread(error: &object::read::Error) -> String {
    format!("its program cannot be understood: {error}")
}
