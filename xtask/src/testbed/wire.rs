//! A wire in user space, between a host and the switch: every frame passes through this
//! process, which loses it, holds it up or damages it. The kernel of neither host knows of
//! that, and tracer has no part in it.

mod tap;
mod way;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use self::way::Way;
pub use self::way::{Harm, Impairment, Which};
use crate::testbed::netns::Net;

/// How soon a carrier notices that it is to stop.
const LOOK: Duration = Duration::from_millis(50);
/// More than a frame of the interfaces here.
const MAX_FRAME: usize = 2_048;

/// From the switch to the host, or from the host to the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heading {
    /// To the host.
    Host,
    /// To the switch.
    Switch,
}

/// Carries frames until it is dropped; the host has no other interface.
#[derive(Debug)]
pub struct Wire {
    /// By [`Heading`].
    ways: [Arc<Mutex<Way>>; 2],
    stopping: Arc<AtomicBool>,
    carriers: Vec<JoinHandle<()>>,
}

impl Wire {
    /// Puts it in the place of the host's cable: before anything connects over that. What is
    /// drawn on it is drawn from the seed.
    ///
    /// # Errors
    /// If there is no such host, or an interface cannot be made.
    pub fn insert(net: &Net, role: &str, seed: u64) -> Result<Self> {
        let [host, switch] = net.open_cable(role, tap::open)?;
        let begun = Instant::now();
        let stopping = Arc::new(AtomicBool::new(false));
        let mut carriers = Vec::new();
        let mut way = |from: &File, to: &File, number| -> Result<Arc<Mutex<Way>>> {
            let way = Arc::new(Mutex::new(Way::new(seed, number)));
            let (mine, stopping) = (Arc::clone(&way), Arc::clone(&stopping));
            let (from, to) = (from.try_clone()?, to.try_clone()?);
            carriers.push(thread::spawn(move || {
                carry(from, to, &mine, begun, &stopping);
            }));
            Ok(way)
        };
        let ways = [way(&switch, &host, 0)?, way(&host, &switch, 1)?];
        Ok(Self {
            ways,
            stopping,
            carriers,
        })
    }

    /// From now on, this happens to what goes there, and nothing else.
    pub fn impair(&self, heading: Heading, impairments: &[Impairment]) {
        lock(&self.ways[heading as usize]).impair(impairments);
    }

    /// How many frames it has lost, held up, damaged or sent twice so far, by heading.
    pub fn harmed(&self) -> [u64; 2] {
        [0, 1].map(|heading| lock(&self.ways[heading]).harmed())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        for carrier in self.carriers.drain(..) {
            let _ = carrier.join();
        }
    }
}

fn lock(way: &Mutex<Way>) -> MutexGuard<'_, Way> {
    // What it guards is whole at any time.
    way.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes frames from one end to the other, as the way wants it.
fn carry(mut from: File, mut to: File, way: &Mutex<Way>, begun: Instant, stopping: &AtomicBool) {
    let mut frame = [0; MAX_FRAME];
    while !stopping.load(Ordering::Relaxed) {
        let pause = {
            let mut way = lock(way);
            while let Some(frame) = way.take_due(begun.elapsed()) {
                // An interface that is down takes nothing, as a cable that is out.
                let _ = to.write(&frame);
            }
            let next = way.next_due();
            next.map_or(LOOK, |due| due.saturating_sub(begun.elapsed()).min(LOOK))
        };
        let mut ready = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        let arrived = ppoll(&mut ready, Some(TimeSpec::from_duration(pause)), None);
        if arrived.is_ok_and(|count| count > 0)
            && let Ok(length) = from.read(&mut frame)
        {
            lock(way).accept(begun.elapsed(), &frame[..length]);
        }
    }
}

#[cfg(test)]
mod tests;
