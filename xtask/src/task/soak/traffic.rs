//! Connections from the primary's host to the standby's through a queue that is too
//! small: some that stay, and new ones all the time.

use std::io::{self, ErrorKind, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::testbed::netns::{Host, Queue};

/// Drops something of every burst, and is empty again before the next.
pub(super) const QUEUE: Queue = Queue {
    rate_bps: 50_000_000,
    burst_bytes: 20_000,
    limit_bytes: 20_000,
};

const STAYING: usize = 2;

/// What one sends in one go.
const BURST: usize = 60_000;

/// From one round of bursts to the next.
const PAUSE: Duration = Duration::from_millis(500);

/// Between two polls for a new connection, or for the end.
const POLL: Duration = Duration::from_millis(10);

/// How long a connection may stand still: far longer than its timeouts.
const LIMIT: Duration = Duration::from_secs(60);

/// Goes on until it is stopped.
#[derive(Debug)]
pub(super) struct Traffic {
    ends: Arc<AtomicBool>,
    sender: JoinHandle<Result<Result<u64>>>,
    sink: JoinHandle<Result<()>>,
}

impl Traffic {
    pub(super) fn start(from: &Host, to: &Host) -> Result<Self> {
        let listener = to.listen()?;
        let target = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let ends = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ends);
        let sink = thread::spawn(move || take(&listener, &stop));
        let stop = Arc::clone(&ends);
        let sender = from.netns.spawn(move || send(target, &stop))?;
        Ok(Self { ends, sender, sink })
    }

    /// Ends it, and says how many connections came and went.
    pub(super) fn stop(self) -> Result<u64> {
        self.ends.store(true, Ordering::Relaxed);
        let sent = joined(self.sender)?;
        joined(self.sink)?;
        sent
    }
}

fn joined<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    match thread.join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Bursts on what stays, and each time on a new connection, which is closed.
fn send(target: SocketAddr, ends: &AtomicBool) -> Result<u64> {
    let connect = || -> Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&target, LIMIT)
            .with_context(|| format!("cannot connect to {target}"))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(stream)
    };
    let mut staying = Vec::with_capacity(STAYING);
    for _ in 0..STAYING {
        staying.push(connect()?);
    }
    let burst = vec![7; BURST];
    let mut closed = 0;
    while !ends.load(Ordering::Relaxed) {
        for stream in &mut staying {
            stream
                .write_all(&burst)
                .context("a connection stands still")?;
        }
        let mut short = connect()?;
        short
            .write_all(&burst)
            .context("a short connection stands still")?;
        drop(short);
        closed += 1;
        thread::sleep(PAUSE);
    }
    Ok(closed)
}

fn take(listener: &TcpListener, ends: &AtomicBool) -> Result<()> {
    while !ends.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((mut stream, _)) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(LIMIT))?;
                // Ends with the connection.
                thread::spawn(move || io::copy(&mut stream, &mut io::sink()));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(POLL),
            Err(error) => return Err(error).context("no connection comes any more"),
        }
    }
    Ok(())
}
