//! A network namespace, and its two counts: ours and the kernel's, read as a pair.

use std::time::{Duration, Instant};

use tracer_core::by_kind::sum;
use tracer_core::kernel_counters::{Tcp, TcpExt};
use tracer_ebpf::Totals;

use crate::kernel::counters::{self, CounterFile};
use crate::kernel::netns::{Entered, Netns, NetnsError};
use crate::programs::Programs;
use tracer_core::kernel_counters::KernelCounts;

/// How long nothing must have moved: longer than one retransmit is on its way
/// from the kernel's counter to the tracepoint, which stands behind the call
/// that hands the packet to the device.
const QUIET: Duration = Duration::from_micros(200);
/// How long to look for a quiet moment.
const PATIENCE: Duration = Duration::from_millis(500);

/// What both sides counted at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CounterPair {
    /// Ours.
    pub(crate) totals: Totals,
    /// The kernel's.
    pub(crate) tcp: Tcp,
}

impl CounterPair {
    /// What must stand still for the pair to belong to one moment.
    fn retransmits(&self) -> (u64, Option<u64>) {
        (sum(&self.totals.segments), self.tcp.retrans_segs)
    }
}

/// What was retransmitted since a pair was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Drift {
    /// Nothing.
    Nothing,
    /// What the hits themselves showed.
    Seen,
    /// Also what no hit had shown, be it from before the pair.
    Unseen,
}

/// A network namespace whose two counts are compared. It takes two descriptors, however
/// many there are: what is read rarely is opened for that.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// Inode, as in `net:[N]`.
    pub(crate) inode: u32,
    /// Its name under `/run/netns`, if it has one.
    pub(crate) name: Option<String>,
    handle: Netns,
    file: CounterFile,
    start: Option<StartCounts>,
}

/// The kernel's counters when counting began.
#[derive(Debug, Clone, Copy)]
struct StartCounts {
    retrans_segs: Option<u64>,
    in_csum_errors: Option<u64>,
    tcp_ext: TcpExt,
}

impl StartCounts {
    /// How many segments the kernel has refused for their checksum since.
    fn refused(&self, now: &Tcp) -> Option<u64> {
        grown(now.in_csum_errors, self.in_csum_errors)
    }
}

fn grown(now: Option<u64>, before: Option<u64>) -> Option<u64> {
    Some(now?.wrapping_sub(before?))
}

impl Namespace {
    /// A namespace that is kept, with the counters that are read again and again.
    pub(crate) fn open(handle: Netns) -> anyhow::Result<Self> {
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
    pub(crate) fn enter(&self) -> Result<Entered, NetnsError> {
        self.handle.enter()
    }

    fn tcp_ext(&self) -> anyhow::Result<TcpExt> {
        let _inside = self.enter()?;
        Ok(counters::tcp_ext()?)
    }

    /// Takes one pair of readings.
    fn pair(&mut self, programs: &Programs) -> anyhow::Result<CounterPair> {
        let totals = programs.totals(self.inode)?;
        let tcp = self.file.tcp()?;
        let totals = self.without_others(totals, &tcp);
        Ok(CounterPair { totals, tcp })
    }

    /// Our count by now.
    pub(crate) fn totals(&mut self, programs: &Programs) -> anyhow::Result<Totals> {
        let totals = programs.totals(self.inode)?;
        // Most of the time there are none, and nothing has to be read.
        if totals.selected_bad_checksums == 0 {
            return Ok(totals);
        }
        let tcp = self.file.tcp()?;
        Ok(self.without_others(totals, &tcp))
    }

    fn without_others(&self, totals: Totals, tcp: &Tcp) -> Totals {
        without_others(totals, self.start.and_then(|start| start.refused(tcp)))
    }

    /// Marks the start of the comparison at a moment when counting had begun:
    /// what is ours of it by then, or will be found yet (`unseen`, segments), the
    /// kernel had not counted before the start.
    pub(crate) fn begin(&mut self, pair: &CounterPair, unseen: u64) -> anyhow::Result<()> {
        let ours = sum(&pair.totals.segments) + unseen;
        self.start = Some(StartCounts {
            retrans_segs: pair.tcp.retrans_segs.map(|now| now.wrapping_sub(ours)),
            in_csum_errors: pair.tcp.in_csum_errors,
            tcp_ext: self.tcp_ext()?,
        });
        Ok(())
    }

    /// A quiet moment: what both sides counted, and whether it was one.
    pub(crate) fn read_quiescent(
        &mut self,
        programs: &Programs,
    ) -> anyhow::Result<(CounterPair, bool)> {
        let read = || self.pair(programs);
        read_quiescent(QUIET, PATIENCE, read, CounterPair::retransmits)
    }

    /// What both sides have counted by now, which need not be one moment.
    pub(crate) fn now(&mut self, programs: &Programs) -> anyhow::Result<(Totals, KernelCounts)> {
        let pair = self.pair(programs)?;
        Ok((pair.totals, self.kernel_counts(&pair)?))
    }

    /// What has moved since a pair was read.
    pub(crate) fn drift(
        &mut self,
        programs: &Programs,
        since: &CounterPair,
    ) -> anyhow::Result<Drift> {
        let now = self.pair(programs)?;
        Ok(if now.retransmits() == since.retransmits() {
            Drift::Nothing
        } else if now.totals.unseen_segments == since.totals.unseen_segments {
            Drift::Seen
        } else {
            Drift::Unseen
        })
    }

    /// What the kernel counted from the start to a pair; nothing is known of a
    /// namespace whose start was not marked.
    pub(crate) fn kernel_counts(&mut self, end: &CounterPair) -> anyhow::Result<KernelCounts> {
        let Some(start) = self.start else {
            return Ok(KernelCounts::default());
        };
        Ok(KernelCounts {
            retrans_segs: grown(end.tcp.retrans_segs, start.retrans_segs),
            in_csum_errors: start.refused(&end.tcp),
            tcp_ext: self.tcp_ext()?.since(&start.tcp_ext),
        })
    }
}

/// Without the bad checksums of other namespaces. A segment that does not show its namespace
/// any more counts in the one that is traced; the kernel knows whose it is, and says how many
/// it has refused there.
fn without_others(totals: Totals, refused: Option<u64>) -> Totals {
    let selected = totals.selected_bad_checksums;
    Totals {
        selected_bad_checksums: refused.map_or(selected, |refused| selected.min(refused)),
        ..totals
    }
}

/// Reads until what `moving` picks of two readings at least `quiet` apart is the
/// same; after `patience` gives the last one and `false`.
fn read_quiescent<S, K: PartialEq, E>(
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
        let result: Result<_, Infallible> = read_quiescent(
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
    fn bad_checksums_of_another_namespace_do_not_count() {
        let totals = Totals {
            selected_bad_checksums: 3,
            ..Totals::default()
        };
        let counted = |refused| without_others(totals, refused).selected_bad_checksums;
        // Of every peer the kernel may have refused more; some do not say how many.
        assert_eq!([Some(0), Some(2), Some(9), None].map(counted), [0, 2, 3, 3]);
    }

    #[test]
    fn two_equal_readings_are_a_moment() {
        assert_eq!(run(&[7, 7]), (7, true, 2));
        assert_eq!(run(&[1, 2, 3, 3]), (3, true, 4));
    }

    #[test]
    fn patience_ends() {
        let mut value = 0;
        let result: Result<_, Infallible> = read_quiescent(
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
