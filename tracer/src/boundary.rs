//! The two ends of a run, at which our counts and the kernel's are read as of
//! the same moment.
//!
//! Both move independently of the reader, and there is no way to read them at
//! once. But traffic has gaps, even in a storm: two equal pairs of readings with
//! nothing between them belong to one moment.

use std::time::{Duration, Instant};

use tracer_core::by_kind::sum;
use tracer_core::kernel_counters::{Tcp, TcpExt};
use tracer_ebpf::Totals;

use crate::kernel::counters::{self, CounterFile, CountersError};
use crate::kernel::netns::{Entered, Netns, NetnsError};
use crate::probe::{Probe, ProbeError};
use tracer_core::kernel_counters::KernelCounts;

/// How long nothing must have moved: longer than one retransmit is on its way
/// from the kernel's counter to the tracepoint, which stands behind the call
/// that hands the packet to the device.
const QUIET: Duration = Duration::from_micros(200);
/// How long to look for a quiet moment.
const PATIENCE: Duration = Duration::from_millis(500);

/// What both sides counted at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Ours.
    pub totals: Totals,
    /// The kernel's.
    pub tcp: Tcp,
}

impl Sample {
    /// What must stand still for the sample to belong to one moment.
    fn retransmits(&self) -> (u64, Option<u64>) {
        (sum(&self.totals.segments), self.tcp.retrans_segs)
    }
}

/// What was retransmitted since a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moved {
    /// Nothing.
    Nothing,
    /// What the hits themselves showed.
    Seen,
    /// Also what no hit had shown, be it from before the sample.
    Unseen,
}

/// A sample could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum BoundaryError {
    /// Our side.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The kernel's side.
    #[error(transparent)]
    Counters(#[from] CountersError),
    /// The namespace itself.
    #[error(transparent)]
    Netns(#[from] NetnsError),
}

/// A network namespace whose two counts are compared. It takes two descriptors, however
/// many there are: what is read rarely is opened for that.
#[derive(Debug)]
pub struct Namespace {
    /// Inode, as in `net:[N]`.
    pub inode: u32,
    /// Its name under `/run/netns`, if it has one.
    pub name: Option<String>,
    handle: Netns,
    file: CounterFile,
    start: Option<Start>,
}

/// The kernel's counters when counting began.
#[derive(Debug, Clone, Copy)]
struct Start {
    retrans_segs: Option<u64>,
    in_csum_errors: Option<u64>,
    tcp_ext: TcpExt,
}

impl Namespace {
    /// A namespace that is kept, with the counters that are read again and again.
    ///
    /// # Errors
    /// If it cannot be entered, or its counters not be opened.
    pub fn open(handle: Netns) -> Result<Self, BoundaryError> {
        let file = {
            let _inside = handle.enter()?;
            CounterFile::open()?
        };
        Ok(Self {
            inode: handle.inode(),
            name: handle.name().map(str::to_owned),
            handle,
            file,
            start: None,
        })
    }

    /// Moves the calling thread into it until the guard is dropped.
    ///
    /// # Errors
    /// As [`Netns::enter`].
    pub fn enter(&self) -> Result<Entered, NetnsError> {
        self.handle.enter()
    }

    fn tcp_ext(&self) -> Result<TcpExt, BoundaryError> {
        let _inside = self.enter()?;
        Ok(counters::tcp_ext()?)
    }

    /// Takes one pair of readings.
    fn sample(&mut self, probe: &Probe) -> Result<Sample, BoundaryError> {
        Ok(Sample {
            totals: probe.totals(self.inode)?,
            tcp: self.file.tcp()?,
        })
    }

    /// Marks the start of the comparison at a moment when counting had begun:
    /// what is ours of it by then, or will be found yet (`unseen`, segments), the
    /// kernel had not counted before the start.
    ///
    /// # Errors
    /// If the counters cannot be read.
    pub fn begin(&mut self, sample: &Sample, unseen: u64) -> Result<(), BoundaryError> {
        let ours = sum(&sample.totals.segments) + unseen;
        self.start = Some(Start {
            retrans_segs: sample.tcp.retrans_segs.map(|now| now.wrapping_sub(ours)),
            in_csum_errors: sample.tcp.in_csum_errors,
            tcp_ext: self.tcp_ext()?,
        });
        Ok(())
    }

    /// A quiet moment: what both sides counted, and whether it was one.
    ///
    /// # Errors
    /// If either side cannot be read.
    pub fn settle(&mut self, probe: &Probe) -> Result<(Sample, bool), BoundaryError> {
        settle(QUIET, PATIENCE, || self.sample(probe), Sample::retransmits)
    }

    /// What both sides have counted by now, which need not be one moment.
    ///
    /// # Errors
    /// If either side cannot be read.
    pub fn now(&mut self, probe: &Probe) -> Result<(Totals, KernelCounts), BoundaryError> {
        let sample = self.sample(probe)?;
        Ok((sample.totals, self.kernel_counts(&sample)?))
    }

    /// What has moved since a sample was taken.
    ///
    /// # Errors
    /// If either side cannot be read.
    pub fn moved(&mut self, probe: &Probe, since: &Sample) -> Result<Moved, BoundaryError> {
        let now = self.sample(probe)?;
        Ok(if now.retransmits() == since.retransmits() {
            Moved::Nothing
        } else if now.totals.unseen_segments == since.totals.unseen_segments {
            Moved::Seen
        } else {
            Moved::Unseen
        })
    }

    /// What the kernel counted from the start to a sample; nothing is known of a
    /// namespace whose start was not marked.
    ///
    /// # Errors
    /// If the counters cannot be read.
    pub fn kernel_counts(&mut self, end: &Sample) -> Result<KernelCounts, BoundaryError> {
        let Some(start) = self.start else {
            return Ok(KernelCounts::default());
        };
        let grown = |now: Option<u64>, before: Option<u64>| Some(now?.wrapping_sub(before?));
        Ok(KernelCounts {
            retrans_segs: grown(end.tcp.retrans_segs, start.retrans_segs),
            in_csum_errors: grown(end.tcp.in_csum_errors, start.in_csum_errors),
            tcp_ext: self.tcp_ext()?.since(&start.tcp_ext),
        })
    }
}

/// Reads until what `moving` picks of two readings at least `quiet` apart is the
/// same; after `patience` gives the last one and `false`.
fn settle<S, K: PartialEq, E>(
    quiet: Duration,
    patience: Duration,
    mut read: impl FnMut() -> Result<S, E>,
    moving: impl Fn(&S) -> K,
) -> Result<(S, bool), E> {
    let begun = Instant::now();
    let mut since = begun;
    let mut last = read()?;
    loop {
        let next = read()?;
        let now = Instant::now();
        if moving(&next) != moving(&last) {
            since = now;
        } else if now - since >= quiet {
            return Ok((next, true));
        }
        last = next;
        if now - begun >= patience {
            return Ok((last, false));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn run(values: &[u64]) -> (u64, bool, usize) {
        let mut index = 0;
        let result: Result<_, Infallible> = settle(
            Duration::ZERO,
            Duration::from_secs(10),
            || {
                let value = values[index.min(values.len() - 1)];
                index += 1;
                Ok(value)
            },
            |value| *value,
        );
        let Ok((value, quiet)) = result;
        (value, quiet, index)
    }

    #[test]
    fn two_equal_readings_are_a_moment() {
        assert_eq!(run(&[7, 7]), (7, true, 2));
        assert_eq!(run(&[1, 2, 3, 3]), (3, true, 4));
    }

    #[test]
    fn patience_ends() {
        let mut value = 0;
        let result: Result<_, Infallible> = settle(
            Duration::ZERO,
            Duration::from_millis(5),
            || {
                value += 1;
                Ok(value)
            },
            |value| *value,
        );
        let Ok((_, quiet)) = result;
        assert!(!quiet);
    }
}
