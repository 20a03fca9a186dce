//! Retransmits by the thousand: connections through a queue that is too small.

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

const CONNECTIONS: usize = 8;

/// What each connection sends: some two seconds of the queue's rate in all.
const BYTES: usize = 6_000_000;

/// How long a connection may stand still: far longer than its timeouts.
const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn run(net: &Net) -> Result<()> {
    let (from, to) = (net.host("primary")?, net.host("standby")?);
    let listener = to.listen()?;
    let target = listener.local_addr()?;
    thread::scope(|scope| {
        let mut transfers = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            let sender = from.connect(target, LIMIT)?;
            sender.set_write_timeout(Some(LIMIT))?;
            let (receiver, _) = listener.accept().context("no connection came")?;
            receiver.set_read_timeout(Some(LIMIT))?;
            transfers.push(scope.spawn(move || send(sender)));
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

fn send(mut stream: TcpStream) -> Result<()> {
    stream
        .write_all(&vec![7; BYTES])
        .context("a transfer stands still")
}

fn receive(mut stream: TcpStream) -> Result<()> {
    let received = io::copy(&mut stream, &mut io::sink()).map(drop);
    received.context("a transfer stands still")
}
