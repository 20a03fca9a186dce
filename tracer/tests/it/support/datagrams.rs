//! Numbered datagrams, of which each is told by itself: which came, how often, in
//! which order, and how late.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::AsFd as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use xtask::testbed::{netns::Host, wait};

const LIMIT: Duration = Duration::from_secs(60);
/// So many go at once, or a queue on the way would overflow.
const BURST: u32 = 32;
/// Between two bursts: a receiver that shares the processor gets its turn.
const PAUSE: Duration = Duration::from_millis(1);
/// Room for all of them.
const BUFFER: usize = 32 << 20;

/// One that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) number: u32,
    /// From before it was sent to after it was received.
    pub(crate) took: Duration,
    /// Since the receiver began.
    pub(crate) at: Duration,
}

/// A receiver on a host.
pub(crate) struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    arrivals: Mutex<Vec<Arrival>>,
    over: AtomicBool,
    begun: Instant,
}

impl Receiver {
    pub(crate) fn open(host: &Host, address: IpAddr) -> Result<Self> {
        let socket = host
            .netns
            .enter(|| Ok(UdpSocket::bind(SocketAddr::new(address, 0))?))?;
        setsockopt(&socket.as_fd(), RcvBufForce, &BUFFER)?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        let state = Arc::new(State {
            arrivals: Mutex::default(),
            over: AtomicBool::new(false),
            begun: Instant::now(),
        });
        let receiver = Self {
            address: socket.local_addr()?,
            state: Arc::clone(&state),
        };
        thread::spawn(move || receive(&socket, &state));
        Ok(receiver)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.state.arrivals.lock().unwrap().clone()
    }

    /// Waits until so many have arrived, and makes sure that there are no more.
    pub(crate) fn expect(&self, count: u64) -> Result<Vec<Arrival>> {
        let arrived = || self.state.arrivals.lock().unwrap().len() as u64;
        wait::until(
            LIMIT,
            "datagrams",
            || Ok((arrived() >= count).then_some(())),
        )
        .with_context(|| format!("{} of {count} arrived", arrived()))?;
        ensure!(arrived() == count, "{} instead of {count}", arrived());
        Ok(self.arrivals())
    }

    /// Sends so many from the host, numbered from 0, of so many bytes.
    pub(crate) fn send(&self, from: &Host, count: u32, length: usize) -> Result<()> {
        let any = if self.address.is_ipv6() {
            "::"
        } else {
            "0.0.0.0"
        };
        self.send_from(from, any.parse()?, count, length)
    }

    fn send_from(&self, from: &Host, source: IpAddr, count: u32, length: usize) -> Result<()> {
        let (to, begun) = (self.address, self.state.begun);
        from.netns.enter(|| {
            let socket = UdpSocket::bind(SocketAddr::new(source, 0))?;
            socket.connect(to)?;
            let mut datagram = vec![0; length.max(12)];
            for number in 0..count {
                if number % BURST == BURST - 1 {
                    thread::sleep(PAUSE);
                }
                datagram[..4].copy_from_slice(&number.to_ne_bytes());
                let sent = u64::try_from(begun.elapsed().as_nanos())?;
                datagram[4..12].copy_from_slice(&sent.to_ne_bytes());
                // A full queue of the sender's own is waited for.
                wait::until(LIMIT, "room to send", || match socket.send(&datagram) {
                    Ok(_) => Ok(Some(())),
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(None),
                    // Nobody listens: not what is asked here.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(Some(())),
                    Err(error) => Err(error.into()),
                })?;
            }
            Ok(())
        })
    }
}

/// Waits until what the host has sent so far has come to the other one's programs: a
/// packet is sent when it waits for the receiver's processor. One from an address
/// that no fault is for goes behind them.
pub(crate) fn flush(from: &Host, source: IpAddr, to: &Host) -> Result<()> {
    let receiver = Receiver::open(to, to.address(source.is_ipv6()))?;
    receiver.send_from(from, source, 1, 12)?;
    receiver.expect(1).map(|_| ())
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
    }
}

fn receive(socket: &UdpSocket, state: &State) {
    let mut buffer = [0; 2048];
    while !state.over.load(Ordering::Relaxed) {
        let Ok(length) = socket.recv(&mut buffer) else {
            continue;
        };
        if length < 12 {
            continue;
        }
        let at = state.begun.elapsed();
        let sent = u64::from_ne_bytes(buffer[4..12].try_into().unwrap());
        state.arrivals.lock().unwrap().push(Arrival {
            number: u32::from_ne_bytes(buffer[..4].try_into().unwrap()),
            took: at.saturating_sub(Duration::from_nanos(sent)),
            at,
        });
    }
}
