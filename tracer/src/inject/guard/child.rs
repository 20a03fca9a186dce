//! The guard's own side.

use std::fs;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use caps::Capability;
use jiff::Timestamp;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{geteuid, setsid};

use crate::inject::Interface;
use crate::inject::guard::protocol::{DONE, FAILED, Orders, READY};
use crate::inject::guard::state_file::{Held, Record};
use crate::inject::guard::undo;
use crate::kernel::preflight;

/// Orders are longer than this only by mistake.
const MAX_ORDERS: u64 = 64 * 1024;
/// At most 15 characters
/// ([`TASK_COMM_LEN`](https://github.com/torvalds/linux/blob/v6.18/include/linux/sched.h)).
const NAME: &str = "tracer: guard";
/// Nothing of it is worth its memory
/// ([`OOM_SCORE_ADJ_MIN`](https://github.com/torvalds/linux/blob/v6.18/include/uapi/linux/oom.h)).
const NEVER: &str = "-1000";
/// What undoing takes: to change an interface, to enter the network namespace that it was
/// moved to, and to find that one by its processes, which are other users'.
const NEEDED: [Capability; 3] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_SYS_PTRACE,
];
/// Signals by which somebody may mean the tool, not what protects its user.
const IGNORED: [Signal; 8] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGPIPE,
    Signal::SIGTSTP,
];

/// All that a guard process does: reads its orders from standard input, waits
/// for the end of that input or its deadline, undoes, and answers on standard
/// output. Fails with exit code 1 if something is not as it was.
///
/// To be called first thing by the hidden subcommand `guard`, before any
/// thread is started or file opened.
pub fn guard_main() -> ExitCode {
    match guard() {
        Ok(()) => {
            answer(DONE);
            ExitCode::SUCCESS
        }
        Err(reason) => {
            answer(&format!("{FAILED}{}", reason.replace('\n', " ")));
            ExitCode::FAILURE
        }
    }
}

fn guard() -> Result<(), String> {
    stand_alone().map_err(|error| format!("cannot leave the terminal's session: {error}"))?;
    let orders = read_orders().map_err(|error| format!("cannot read the orders: {error}"))?;
    may_undo(&orders)?;
    let mut held = record(&orders)?;
    let deadline = Instant::now() + Duration::from_millis(orders.deadline_ms);
    answer(READY);
    wait_for_end(deadline);
    let undone = undo::carry_out(&orders.origin, &orders.undo);
    if undone.is_err() {
        held.keep();
    }
    undone.map(|_| ())
}

/// Out of reach of the terminal's signals and of a `kill` of the tool's process
/// group, and holding nothing open that belongs to somebody else.
fn stand_alone() -> io::Result<()> {
    for which in IGNORED {
        // SAFETY: ignoring a signal runs no code in a handler.
        unsafe { signal(which, SigHandler::SigIgn) }?;
    }
    match setsid() {
        // It leads a group already: nobody's terminal reaches it either.
        Ok(_) | Err(Errno::EPERM) => {}
        Err(error) => return Err(error.into()),
    }
    // SAFETY: plain system call; nothing in this process owns a descriptor
    // above the standard ones yet.
    if unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) } < 0 {
        let error = io::Error::last_os_error();
        // Linux 5.9; before it, descriptors that the tool did not open stay.
        if error.raw_os_error() != Some(libc::ENOSYS) {
            return Err(error);
        }
    }
    std::env::set_current_dir("/")?;
    protect();
    Ok(())
}

/// By its name, least rights and last in the line of those whose memory is wanted. It
/// undoes all the same where one of these is not permitted.
fn protect() {
    // The first thread's, which is what `ps` shows, whichever this is.
    let _ = fs::write("/proc/self/comm", NAME);
    // Takes CAP_SYS_RESOURCE, and so comes first.
    let _ = fs::write("/proc/self/oom_score_adj", NEVER);
    let _ = prctl::set_no_new_privs();
    let mut needed = NEEDED.to_vec();
    // Root owns the folder of records.
    if !geteuid().is_root() {
        needed.push(Capability::CAP_DAC_OVERRIDE);
    }
    let _ = preflight::keep_only(&needed);
}

/// Refuses to stand by without the right to undo: a user's ambient capabilities, for one,
/// are gone once the tool has given up what it does not need.
fn may_undo(orders: &Orders) -> Result<(), String> {
    let needed = Capability::CAP_NET_ADMIN;
    if orders.undo.is_empty() || preflight::has(needed) {
        return Ok(());
    }
    Err(format!(
        "it could not undo anything: {}",
        preflight::missing(&[needed])
    ))
}

fn read_orders() -> io::Result<Orders> {
    let mut line = Vec::new();
    let stdin = io::stdin().lock();
    stdin.take(MAX_ORDERS).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line)?)
}

/// Why the interface cannot be had, and by whom it is held.
fn held(netns: u32, interface: &Interface) -> String {
    let holder = Record::of(netns, interface).map(|record| {
        format!(
            " (process {}: {} to {}, until {:.0})",
            record.note.pid,
            record.note.faults.join(" + "),
            record.note.peers.join(", "),
            record.until
        )
    });
    format!(
        "another fault of tracer holds interface {}{}; wait for its end or stop it",
        interface.name,
        holder.unwrap_or_default()
    )
}

/// Leaves word of what is to be undone, should this process be killed.
fn record(orders: &Orders) -> Result<Held, String> {
    let since = Timestamp::now();
    let until = since
        .checked_add(Duration::from_millis(orders.note.lasts_ms))
        .unwrap_or(Timestamp::MAX);
    Record {
        origin: orders.origin.clone(),
        guard: std::process::id(),
        since,
        until,
        note: orders.note.clone(),
        undo: orders.undo.clone(),
    }
    .write()
    .map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => held(orders.origin.netns.inode, &orders.origin.interface),
        _ => format!("cannot keep a record of the fault: {error}"),
    })
}

fn wait_for_end(deadline: Instant) {
    let stdin = io::stdin();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        // A duration beyond what poll can say is waited for in parts.
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut ready = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, timeout) {
            Ok(0) | Err(Errno::EINTR) => continue,
            // Where it cannot wait, undoing at once is the safe side.
            Err(_) => return,
            Ok(_) => {}
        }
        match stdin.lock().read(&mut [0; 64]) {
            Ok(0) | Err(_) => return,
            // Nothing is said on this pipe; were it, it would not be the end.
            Ok(_) => {}
        }
    }
}

fn answer(line: &str) {
    let mut stdout = io::stdout().lock();
    // The tool may be dead; then nobody needs the answer.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
