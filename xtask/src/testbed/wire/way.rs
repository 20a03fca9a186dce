//! What becomes of frames in one direction: decided here, without a clock or a device.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::testbed::random::Random;

const ETHERNET: usize = 14;
const TCP: u8 = 6;
/// Where in a TCP header the sequence number begins: what stands before it leads to the
/// connection.
const SEQUENCE: usize = 4;

/// What happens to frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// So many of a hundred are lost, each by itself.
    Loss {
        /// In this many of a hundred.
        percent: u64,
    },
    /// All are lost for a while: it begins and ends with a frame, in so many of a hundred.
    Bursts {
        /// In so many of a hundred it begins with a frame.
        begin: u64,
        /// In so many it ends with one.
        end: u64,
    },
    /// One bit of so many of a hundred TCP segments is wrong, and their checksum with it.
    Damage {
        /// In this many of a hundred.
        percent: u64,
    },
    /// So many of a hundred arrive twice.
    Duplicate {
        /// In this many of a hundred.
        percent: u64,
    },
    /// So many of a hundred arrive later, behind others.
    Reorder {
        /// In this many of a hundred.
        percent: u64,
        /// How much later.
        by: Duration,
    },
    /// Every one arrives later, by up to `jitter` more; in order.
    Delay {
        /// How much later at least.
        by: Duration,
        /// How much more at most.
        jitter: Duration,
    },
    /// No more than so much passes, the queue in front of it being so long.
    Rate {
        /// How much passes.
        bytes_per_s: u64,
        /// What finds a longer queue is lost.
        queue_bytes: u64,
    },
    /// Frames of more bytes are lost.
    Larger {
        /// As many pass.
        bytes: usize,
    },
    /// For the first part of each round nothing passes, and then all of it.
    Hold {
        /// How long a round is.
        every: Duration,
        /// How long its first part is.
        held: Duration,
    },
    /// Nothing passes.
    Cut,
}

/// The frames that are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// TCP segments with this port at either end.
    Port(u16),
    /// TCP segments without it.
    OtherPorts(u16),
}

/// What happens to which frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Impairment {
    /// What.
    pub harm: Harm,
    /// To which.
    pub which: Which,
}

/// A frame on its way: the one that is due first, and of those the one that came first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Departure {
    due: Duration,
    number: u64,
    frame: Vec<u8>,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Way {
    impairments: Vec<Impairment>,
    /// Since when, and what each of them remembers.
    since: Option<Duration>,
    in_burst: Vec<bool>,
    /// When the last frame leaves that a delay or a rate has held up.
    free: Duration,
    waiting: BinaryHeap<Reverse<Departure>>,
    accepted: u64,
    harmed: u64,
    random: Random,
}

impl Way {
    pub(super) fn new(seed: u64, number: u32) -> Self {
        Self {
            impairments: Vec::new(),
            since: None,
            in_burst: Vec::new(),
            free: Duration::ZERO,
            waiting: BinaryHeap::new(),
            accepted: 0,
            harmed: 0,
            random: Random::new(seed, number),
        }
    }

    /// From the next frame on, this happens.
    pub(super) fn impair(&mut self, impairments: &[Impairment]) {
        self.impairments = impairments.to_vec();
        self.in_burst = vec![false; impairments.len()];
        self.since = None;
    }

    pub(super) fn harmed(&self) -> u64 {
        self.harmed
    }

    /// A frame begins its way.
    pub(super) fn accept(&mut self, now: Duration, frame: &[u8]) {
        let since = *self.since.get_or_insert(now);
        let mut frame = frame.to_vec();
        let (mut due, mut copies) = (now, 1);
        let mut is_last = true;
        for index in 0..self.impairments.len() {
            let Impairment { harm, which } = self.impairments[index];
            if !which.means(&frame) {
                continue;
            }
            let before = (due, copies);
            let is_lost = match harm {
                Harm::Cut => true,
                Harm::Loss { percent } => self.random.chance(percent),
                Harm::Bursts { begin, end } => {
                    let flips = self
                        .random
                        .chance(if self.in_burst[index] { end } else { begin });
                    self.in_burst[index] ^= flips;
                    self.in_burst[index]
                }
                Harm::Larger { bytes } => frame.len() > bytes,
                Harm::Damage { percent } => {
                    if self.random.chance(percent) && damage(&mut frame, &mut self.random) {
                        self.harmed += 1;
                    }
                    false
                }
                Harm::Duplicate { percent } => {
                    copies += u64::from(self.random.chance(percent));
                    false
                }
                Harm::Reorder { percent, by } => {
                    if self.random.chance(percent) {
                        due += by;
                        is_last = false;
                    }
                    false
                }
                Harm::Delay { by, jitter } => {
                    let jitter = u64::try_from(jitter.as_micros()).unwrap_or(u64::MAX);
                    due += by + Duration::from_micros(self.random.between(0, jitter));
                    false
                }
                Harm::Hold { every, held } => {
                    let into = into_round(now - since, every);
                    if into < held {
                        due = due.max(now + (held - into));
                    }
                    false
                }
                Harm::Rate {
                    bytes_per_s,
                    queue_bytes,
                } => {
                    let free = self.free.max(now);
                    let queued = (free - now).as_secs_f64() * bytes_per_s as f64;
                    let takes = frame.len() as f64 / bytes_per_s as f64;
                    due = due.max(free + Duration::from_secs_f64(takes));
                    queued + frame.len() as f64 > queue_bytes as f64
                }
            };
            if is_lost {
                self.harmed += 1;
                return;
            }
            self.harmed += u64::from((due, copies) != before);
        }
        if is_last {
            // Whoever is held up holds up what comes behind.
            due = due.max(self.free);
            self.free = due;
        }
        for _ in 0..copies {
            self.accepted += 1;
            self.waiting.push(Reverse(Departure {
                due,
                number: self.accepted,
                frame: frame.clone(),
            }));
        }
    }

    /// A frame that has arrived.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<Vec<u8>> {
        self.next_due().filter(|due| *due <= now)?;
        Some(self.waiting.pop()?.0.frame)
    }

    /// When the next one arrives.
    pub(super) fn next_due(&self) -> Option<Duration> {
        Some(self.waiting.peek()?.0.due)
    }
}

/// How far into a round of this length a moment is.
fn into_round(since: Duration, every: Duration) -> Duration {
    let nanoseconds = since.as_nanos() % every.as_nanos().max(1);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

impl Which {
    fn means(self, frame: &[u8]) -> bool {
        match (self, ports(frame)) {
            (Self::All, _) => true,
            (Self::Port(port), Some(ports)) => ports.contains(&port),
            (Self::OtherPorts(port), Some(ports)) => !ports.contains(&port),
            (_, None) => false,
        }
    }
}

/// Where the TCP header of an IPv4 packet begins.
fn tcp(frame: &[u8]) -> Option<usize> {
    let first = *frame.get(ETHERNET)?;
    let is_tcp = first >> 4 == 4 && *frame.get(ETHERNET + 9)? == TCP;
    is_tcp.then_some(ETHERNET + usize::from(first & 0x0f) * 4)
}

fn ports(frame: &[u8]) -> Option<[u16; 2]> {
    let header = frame.get(tcp(frame)?..)?.first_chunk::<4>()?;
    let [a, b, c, d] = *header;
    Some([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])])
}

/// Turns one bit of a segment; false if it is none.
fn damage(frame: &mut [u8], random: &mut Random) -> bool {
    let Some(tcp) = tcp(frame) else {
        return false;
    };
    let from = u64::try_from(tcp + SEQUENCE).unwrap_or(u64::MAX);
    // A short frame is padded behind its packet, where nobody looks.
    let packet = [frame[ETHERNET + 2], frame[ETHERNET + 3]];
    let end = (ETHERNET + usize::from(u16::from_be_bytes(packet))).min(frame.len());
    let last = u64::try_from(end).unwrap_or_default().saturating_sub(1);
    let at = usize::try_from(random.between(from, last)).unwrap_or_default();
    let Some(byte) = frame.get_mut(at) else {
        return false;
    };
    *byte ^= 1 << random.between(0, 7);
    true
}

#[cfg(test)]
mod tests;
