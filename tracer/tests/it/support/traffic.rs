//! Traffic whose every byte is known beforehand.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    iter,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd as _, AsRawFd as _},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
    sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket},
};
use xtask::testbed::netns::Host;

const CHUNK: usize = 16 * 1024;
/// How long a connection may take to open.
const CONNECTING: Duration = Duration::from_secs(30);
/// A prime, so that a shift by any usual size is seen.
const PERIOD: usize = 251;

/// What begins anywhere within the first period holds a whole chunk.
static PATTERN: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..PERIOD + CHUNK).map(|at| (at % PERIOD) as u8).collect());

/// The bytes that belong at this offset of a connection.
fn pattern(offset: usize, length: usize) -> &'static [u8] {
    &PATTERN[offset % PERIOD..][..length]
}

/// Takes connections, and compares what comes with the pattern.
pub(crate) struct Sink {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    intact: AtomicU64,
    altered: AtomicBool,
    over: AtomicBool,
}

impl Sink {
    pub(crate) fn open(host: &Host, address: IpAddr) -> Result<Self> {
        let listener = host
            .netns
            .enter(|| Ok(TcpListener::bind(SocketAddr::new(address, 0))?))?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || serve(&listener, &shared));
        Ok(Self { address, state })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that came, all as they should be; an error if one was not.
    pub(crate) fn intact_bytes(&self) -> Result<u64> {
        ensure!(
            !self.state.altered.load(Ordering::Relaxed),
            "payload arrived damaged"
        );
        Ok(self.state.intact.load(Ordering::Relaxed))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
    }
}

fn serve(listener: &TcpListener, state: &State) {
    let mut connections: Vec<(TcpStream, usize)> = Vec::new();
    // Their peers have ended them; ours stay open.
    let mut ended = Vec::new();
    let mut buffer = vec![0; CHUNK];
    while !state.over.load(Ordering::Relaxed) {
        await_any(listener, &connections);
        // What comes within a millisecond is taken at once.
        thread::sleep(Duration::from_millis(1));
        while let Ok((connection, _)) = listener.accept() {
            connection.set_nonblocking(true).unwrap();
            connections.push((connection, 0));
        }
        let gone = connections.extract_if(.., |(connection, offset)| {
            let length = match connection.read(&mut buffer) {
                Ok(length) => length,
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            };
            if buffer[..length] != *pattern(*offset, length) {
                state.altered.store(true, Ordering::Relaxed);
            }
            *offset += length;
            state.intact.fetch_add(length as u64, Ordering::Relaxed);
            length == 0
        });
        ended.extend(gone);
    }
}

/// Sleeps until there is something to take, or to see whether it is over.
fn await_any(listener: &TcpListener, connections: &[(TcpStream, usize)]) {
    let all = connections.iter().map(|(connection, _)| connection.as_fd());
    let mut all: Vec<PollFd> = iter::once(listener.as_fd())
        .chain(all)
        .map(|one| PollFd::new(one, PollFlags::POLLIN))
        .collect();
    // A signal ends it early, which harms nothing.
    let _ = poll(&mut all, 100_u16);
}

/// Connections that send the pattern as fast as they may.
pub(crate) struct Load {
    to: SocketAddr,
    connections: Vec<(TcpStream, usize)>,
}

/// Connects. A neighbour whose address nobody told within three seconds, as on a machine that runs
/// several guests, is asked again.
fn connected(to: SocketAddr) -> io::Result<TcpStream> {
    let begun = Instant::now();
    loop {
        let connected = TcpStream::connect_timeout(&to, CONNECTING);
        let is_unheard = connected
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::HostUnreachable);
        if !is_unheard || begun.elapsed() >= CONNECTING {
            return connected;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

impl Load {
    /// From this host.
    pub(crate) fn connect(from: &Host, to: SocketAddr, count: usize) -> Result<Self> {
        let mut load = Self {
            to,
            connections: Vec::new(),
        };
        from.netns.enter(|| load.add(count))?;
        Ok(load)
    }

    /// More connections, from the caller's namespace. A lost SYN takes a second
    /// each time, so they connect at the same time.
    pub(crate) fn add(&mut self, count: usize) -> Result<()> {
        let to = self.to;
        let connecting = (0..count).map(|_| thread::spawn(move || connected(to)));
        let connecting: Vec<_> = connecting.collect();
        for thread in connecting {
            let stream = thread
                .join()
                .ok()
                .context("a thread panicked")?
                .context("cannot connect")?;
            stream.set_nonblocking(true)?;
            self.connections.push((stream, 0));
        }
        Ok(())
    }

    /// What each connection takes without waiting.
    pub(crate) fn push(&mut self) -> Result<()> {
        for (stream, offset) in &mut self.connections {
            match stream.write(pattern(*offset, CHUNK)) {
                Ok(length) => *offset += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Sends SYNs, one each, without waiting for an answer.
pub(crate) fn knock(to: SocketAddr, count: usize) -> Result<()> {
    let family = match to {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    for _ in 0..count {
        // A program that another test starts meanwhile is not to keep it open.
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(family, SockType::Stream, flags, None)?;
        let result = connect(socket.as_raw_fd(), &SockaddrStorage::from(to));
        ensure!(result == Err(Errno::EINPROGRESS), "connect said {result:?}");
    }
    Ok(())
}
