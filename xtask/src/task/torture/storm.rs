//! Losses in number: connections through a queue that is too small, whose ends both
//! stay open until it is dropped.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt};

use crate::testbed::netns::{Net, Queue};

/// Drops much of what several connections send at once, and leaves the processors to
/// the tool.
const QUEUE: Queue = Queue {
    rate_bps: 20_000_000,
    burst_bytes: 10_000,
    limit_bytes: 20_000,
};
const CONNECTIONS: usize = 6;
const CHUNK: usize = 16 * 1024;
/// What waits to be sent is sent soon after nothing more is written.
const BUFFER: usize = 32 * 1024;
const LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);

/// Senders on the primary, receivers on the standby.
#[derive(Debug)]
pub(super) struct Storm {
    shared: Arc<StormState>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct StormState {
    sending: AtomicBool,
    over: AtomicBool,
}

impl Storm {
    /// Connects; nothing is sent yet.
    pub(super) fn connect(net: &Net) -> Result<Self> {
        let (from, to) = (net.host("primary")?, net.host("standby")?);
        let listener = to.listen()?;
        let target = listener.local_addr()?;
        let mut senders = Vec::new();
        let mut receivers = Vec::new();
        for _ in 0..CONNECTIONS {
            let sender = from.connect(target, LIMIT)?;
            setsockopt(&sender, sockopt::SndBuf, &BUFFER)?;
            sender.set_nonblocking(true)?;
            let (receiver, _) = listener.accept().context("no connection came")?;
            receiver.set_nonblocking(true)?;
            senders.push(sender);
            receivers.push(receiver);
        }
        // Only now: a SYN that is lost would take a second.
        net.shape_toward("standby", &QUEUE)?;
        let shared = Arc::new(StormState::default());
        let (one, other) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            thread::spawn(move || send(senders, &one)),
            thread::spawn(move || receive(receivers, &other)),
        ];
        Ok(Self { shared, threads })
    }

    /// From now on, as much as the connections take, or nothing more.
    pub(super) fn send(&self, sending: bool) {
        self.shared.sending.store(sending, Ordering::Relaxed);
    }
}

fn send(mut connections: Vec<TcpStream>, shared: &StormState) {
    let chunk = [7; CHUNK];
    while !shared.over.load(Ordering::Relaxed) {
        if shared.sending.load(Ordering::Relaxed) {
            for connection in &mut connections {
                // One that takes nothing now does later, or its network is gone.
                let _ = connection.write(&chunk);
            }
        }
        thread::sleep(PAUSE);
    }
}

fn receive(mut connections: Vec<TcpStream>, shared: &StormState) {
    let mut buffer = vec![0; CHUNK];
    while !shared.over.load(Ordering::Relaxed) {
        for connection in &mut connections {
            while connection.read(&mut buffer).is_ok_and(|length| length > 0) {}
        }
        thread::sleep(PAUSE);
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic of it has been printed.
            let _ = thread.join();
        }
    }
}
