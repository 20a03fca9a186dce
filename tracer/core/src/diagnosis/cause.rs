//! The causes that a finding can name, in one table.
//!
//! A new cause is a file beside these, a line in [`CAUSES`], a variant of
//! [`report::finding::Cause`](crate::report::finding::Cause), a scenario in
//! `tests/scenarios`, and a heading in `docs/diagnosis.md`; `tests/causes.rs` holds these
//! together. A cause imports no other cause: what two of them look at is evidence.

mod bad_checksums;
mod cpu_starvation;
mod lock_waits;
mod loss;
mod network_delay;
mod partition;
mod slow_commits;
mod standby_apply;
mod standby_flush;
mod standby_gone;
mod standby_not_replying;
mod sync_wait_off;
mod undetermined;
mod unsampled;
mod wal_flush;

use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::Evidence;
use crate::evidence::standby_wait::StandbyWait;
use crate::evidence::waiting::Waiting;
use crate::report::finding::Finding;

/// Why commits may be slow, or in danger.
pub(super) trait CauseRule: Sync {
    /// Whether a time in which commits waited for a standby is its own.
    fn claims(&self, _wait: &StandbyWait<'_>) -> bool {
        false
    }

    /// What it says of the waits that it kept, if they are worth a finding: a good part of
    /// all, and not over at once.
    fn of_waits(&self, _evidence: &Evidence<'_>, _kept: &Waiting<'_>) -> Option<Finding> {
        None
    }

    /// All that it says. Causes that show in something else than waits for a standby say
    /// it here.
    fn findings(&self, evidence: &Evidence<'_>, kept: &Waiting<'_>) -> Vec<Ranked> {
        if !kept.is_worth_a_finding() {
            return Vec::new();
        }
        let finding = self.of_waits(evidence, kept);
        let rank = Rank::Waited(kept.waited_s);
        finding
            .map(|one| Ranked::new(rank, one))
            .into_iter()
            .collect()
    }

    /// Whether it has anything to say where others before it have found this.
    fn is_asked(&self, _evidence: &Evidence<'_>, _found: &[Ranked]) -> bool {
        true
    }
}

/// All of them. A wait belongs to the first that claims it, and each line says why it
/// stands above the next.
pub(super) const CAUSES: &[&dyn CauseRule] = &[
    // Data at risk come before anything slow; it claims no waits, for there are none.
    &sync_wait_off::SyncWaitOff,
    // Nobody there to be slow; a standby that went because of losses counts as lost.
    &standby_gone::StandbyGone,
    // What is lost between the hosts explains whatever is late behind it. Where nothing
    // comes through, that is said instead of loss.
    &partition::Partition,
    &loss::Loss,
    &bad_checksums::BadChecksums,
    // A process on this host that has no processor answers nobody, and makes round trips
    // and disks look slow.
    &cpu_starvation::CpuStarvation,
    // Round trips that take most of a commit leave nothing for the standby; shorter ones
    // count only where nothing is seen of it.
    &network_delay::NetworkDelay,
    // The standby says itself what it has not done yet: that comes before its silence.
    &standby_flush::StandbyFlush,
    &standby_apply::StandbyApply,
    &standby_not_replying::StandbyNotReplying,
    // What is left of the waits for a standby.
    &undetermined::Undetermined,
    // Waits that have nothing to do with a standby: who holds up the WAL holds up those
    // who hold locks.
    &wal_flush::WalFlush,
    &lock_waits::LockWaits,
    // What samples do not show, commits that were traced do; and where not even that, the
    // commit probe says that something was slow.
    &unsampled::Unsampled,
    &slow_commits::SlowCommits,
];
