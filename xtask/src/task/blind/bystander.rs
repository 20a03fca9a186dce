//! A connection between the two hosts that nobody's commits wait for.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

use crate::testbed::netns::Host;

const CONNECTING: Duration = Duration::from_secs(10);
/// Between two messages.
const PACE: Duration = Duration::from_millis(10);

/// Sends small messages, and has them answered, until it is dropped.
#[derive(Debug)]
pub(super) struct Bystander {
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Bystander {
    pub(super) fn start(from: &Host, to: &Host) -> Result<Self> {
        let listener = to.listen()?;
        let out = from.connect(listener.local_addr()?, CONNECTING)?;
        let (back, _) = listener.accept()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let thread = |mut stream: TcpStream, speaks: bool| -> Result<JoinHandle<()>> {
            stream.set_read_timeout(Some(PACE))?;
            stream.set_nonblocking(speaks)?;
            let stopping = Arc::clone(&stopping);
            Ok(thread::spawn(move || {
                let mut message = [b'x'; 400];
                while !stopping.load(Ordering::Relaxed) {
                    // The one asks at its pace and takes what is there; the other answers.
                    let read = stream.read(&mut message);
                    let is_idle = |error: &std::io::Error| {
                        [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind())
                    };
                    match &read {
                        Ok(0) => return,
                        Err(error) if !is_idle(error) => return,
                        _ => {}
                    }
                    if speaks {
                        thread::sleep(PACE);
                    }
                    if speaks || read.is_ok() {
                        // Where nothing more fits in, it is left out.
                        let _ = stream.write(&message[..200]);
                    }
                }
            }))
        };
        let threads = vec![thread(out, true)?, thread(back, false)?];
        Ok(Self { stopping, threads })
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
