//! The guard's own side.

use std::{
    io::{self, Read as _, Write as _},
    os::fd::AsFd as _,
    process::ExitCode,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigHandler, Signal, signal},
        socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket},
    },
    unistd::setsid,
};

use super::orders::{DONE, FAILED, Orders, READY, Undo};
use crate::inject::{Interface, ethtool};

/// Orders are longer than this only by mistake.
const MAX_ORDERS: usize = 64 * 1024;
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
    let _claim = claim(&orders.interface)?;
    let deadline = Instant::now() + Duration::from_millis(orders.deadline_ms);
    answer(READY);
    wait_for_end(deadline);
    let mut failures = Vec::new();
    for undo in &orders.undo {
        let Undo::Offloads(features) = undo;
        if let Err(reason) = restore_offloads(&orders.interface, features) {
            failures.push(reason);
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("; "))
    }
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
    std::env::set_current_dir("/")
}

/// Byte by byte, so that nothing after the line is taken.
fn read_orders() -> io::Result<Orders> {
    let mut line = Vec::new();
    let mut stdin = io::stdin().lock();
    let mut byte = [0];
    while line.len() < MAX_ORDERS && stdin.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    Ok(serde_json::from_slice(&line)?)
}

/// Holds the interface until this process ends, so that a second fault cannot
/// take what the first one changed for the state to restore. An abstract
/// socket: one a network namespace, and gone with the process.
fn claim(interface: &Interface) -> Result<impl Sized, String> {
    let name = format!("tracer-fault-{}", interface.index);
    let try_claim = || -> nix::Result<_> {
        let socket = socket(
            AddressFamily::Unix,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        bind(
            std::os::fd::AsRawFd::as_raw_fd(&socket),
            &UnixAddr::new_abstract(name.as_bytes())?,
        )?;
        Ok(socket)
    };
    try_claim().map_err(|error| match error {
        Errno::EADDRINUSE => format!(
            "another fault of tracer holds interface {}; wait for its end or stop it",
            interface.name
        ),
        error => format!("cannot claim interface {}: {error}", interface.name),
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
            // Without a way to wait, undoing at once is the safe side.
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

fn restore_offloads(interface: &Interface, features: &[String]) -> Result<(), String> {
    let restore = || -> io::Result<Vec<String>> {
        // It may have been renamed since.
        let name = match Interface::by_index(interface.index) {
            Ok(now) => now.name,
            // Gone, and its offloads with it.
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        ethtool::request(&name, features, true)?;
        Ok(ethtool::features(&name)?
            .into_iter()
            .filter(|feature| features.contains(&feature.name) && !feature.requested)
            .map(|feature| feature.name)
            .collect())
    };
    let switch_on = || {
        format!(
            "`ethtool -K {} {} on`",
            interface.name,
            features.join(" on ")
        )
    };
    match restore() {
        Ok(missing) if missing.is_empty() => Ok(()),
        Ok(missing) => Err(format!(
            "offloads {} of {} stay off; switch them on with {}",
            missing.join(", "),
            interface.name,
            switch_on()
        )),
        Err(error) => Err(format!(
            "cannot switch the offloads of {} back on: {error}; do it with {}",
            interface.name,
            switch_on()
        )),
    }
}

fn answer(line: &str) {
    let mut stdout = io::stdout().lock();
    // The tool may be dead; then nobody needs the answer.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
