//! Retransmits by the thousand: connections through a queue that is too small; and
//! connections that only come and go.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::testbed::netns::{Net, Queue};

/// Drops much of what several connections send at once.
pub(super) const QUEUE: Queue = Queue {
    rate_bps: 200_000_000,
    burst_bytes: 20_000,
    limit_bytes: 20_000,
};

/// So many flows that what is remembered of them is not all near the processor.
pub(super) const FLOWS: usize = 64;

/// How long a connection may stand still: far longer than its timeouts.
const LIMIT: Duration = Duration::from_secs(30);

/// Sends so many bytes through each of the connections, and waits until all have arrived.
pub(super) fn run(net: &Net, bytes: usize) -> Result<()> {
    let (from, to) = (net.host("primary")?, net.host("standby")?);
    let listener = to.listen()?;
    let target = listener.local_addr()?;
    thread::scope(|scope| {
        let mut transfers = Vec::with_capacity(2 * FLOWS);
        for _ in 0..FLOWS {
            let sender = from.connect(target, LIMIT)?;
            sender.set_write_timeout(Some(LIMIT))?;
            let (receiver, _) = listener.accept().context("no connection came")?;
            receiver.set_read_timeout(Some(LIMIT))?;
            transfers.push(scope.spawn(move || send(sender, bytes)));
            transfers.push(scope.spawn(move || receive(receiver)));
        }
        for transfer in transfers {
            match transfer.join() {
                Ok(outcome) => outcome?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    })
}

/// Makes and closes so many connections, one after the other.
pub(super) fn come_and_go(net: &Net, connections: usize) -> Result<()> {
    let (from, to) = (net.host("primary")?, net.host("standby")?);
    let listener = to.listen()?;
    let target = listener.local_addr()?;
    from.netns.enter(|| {
        for _ in 0..connections {
            let near = TcpStream::connect_timeout(&target, LIMIT)?;
            let far = listener.accept().context("no connection came")?;
            drop((near, far));
        }
        Ok(())
    })
}

fn send(mut stream: TcpStream, bytes: usize) -> Result<()> {
    stream
        .write_all(&vec![7; bytes])
        .context("a transfer stands still")
}

fn receive(mut stream: TcpStream) -> Result<()> {
    let received = io::copy(&mut stream, &mut io::sink()).map(drop);
    received.context("a transfer stands still")
}
