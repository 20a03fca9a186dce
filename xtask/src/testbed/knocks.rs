//! Sockets by the ten thousand that nobody answers: each sends its SYN again and again.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::libc::linger;
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};

use super::netns::Host;

/// How many one [`Knocking`] may hold: whoever runs this may have some more descriptors.
pub const MOST_KNOCKS: usize = 10_000;
/// Descriptors for everything else.
const SPARE: u64 = 1_000;

/// Sockets whose SYN is on its way, held until this is dropped.
#[derive(Debug)]
pub struct Knocking {
    outcome: Receiver<Result<()>>,
    all_out: bool,
    // The end of it is the end of the thread.
    hold: Option<Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Knocking {
    /// Begins to knock, so many times, at most [`MOST_KNOCKS`].
    ///
    /// # Errors
    /// When the limit of open files cannot be raised, or the host cannot be entered.
    pub fn start(host: &Host, target: SocketAddr, count: usize) -> Result<Self> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        // Where a shell is given few, root may take more.
        let wanted = soft.max(count as u64 + SPARE);
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted))
            .with_context(|| format!("{count} sockets are more than this process may have"))?;
        let (report, outcome) = mpsc::channel();
        let (hold, released) = mpsc::channel::<()>();
        let thread = host.netns.spawn(move || {
            let (sockets, outcome) = match knock(target, count) {
                Ok(sockets) => (sockets, Ok(())),
                Err(error) => (Vec::new(), Err(error)),
            };
            // Whoever wanted to know, or to hold them, may be gone.
            let _ = report.send(outcome);
            let _ = released.recv();
            drop(sockets);
        })?;
        Ok(Self {
            outcome,
            all_out: false,
            hold: Some(hold),
            thread: Some(thread),
        })
    }

    /// Whether all have knocked.
    ///
    /// # Errors
    /// When one could not.
    pub fn all_out(&mut self) -> Result<bool> {
        match self.outcome.try_recv() {
            Ok(outcome) => {
                outcome?;
                self.all_out = true;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => bail!("who holds the sockets has ended"),
        }
        Ok(self.all_out)
    }
}

impl Drop for Knocking {
    fn drop(&mut self) {
        drop(self.hold.take());
        if let Some(thread) = self.thread.take() {
            // A panic of it has been printed.
            let _ = thread.join();
        }
    }
}

/// Both hosts know each other's address on the link, for which a SYN would otherwise wait,
/// and at last be given up.
///
/// # Errors
/// When the kernel refuses.
pub fn introduce(from: &Host, to: &Host) -> Result<()> {
    let links = ["02:00:00:00:00:02", "02:00:00:00:00:03"];
    for (one, own, other, others) in [
        (from, links[0], to, links[1]),
        (to, links[1], from, links[0]),
    ] {
        let (peer, interface) = (other.v4, &one.interface);
        one.netns.ip(&format!(
            "link set {interface} address {own}\n\
             neigh replace {peer} lladdr {others} dev {interface} nud permanent\n",
        ))?;
    }
    from.netns
        .sysctl("net.ipv4.ip_local_port_range", "1024 65535")
}

/// Sends SYNs and waits for no answer; on descriptors that are this thread's alone.
fn knock(target: SocketAddr, count: usize) -> Result<Vec<OwnedFd>> {
    unshare(CloneFlags::CLONE_FILES).context("no descriptors of its own for a thread")?;
    (0..count).map(|_| knock_once(target)).collect()
}

fn knock_once(target: SocketAddr) -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None)
        .context("there are no descriptors left")?;
    // Its end is a reset: nothing that could be retransmitted.
    let at_once = linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&socket, sockopt::Linger, &at_once)?;
    let result = connect(socket.as_raw_fd(), &SockaddrStorage::from(target));
    ensure!(result == Err(Errno::EINPROGRESS), "connect said {result:?}");
    Ok(socket)
}
