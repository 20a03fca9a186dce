//! The causes that a finding can name, in one table.
//!
//! A new cause is a file in this folder, a line in [`CAUSES`], a variant of
//! [`report::finding::Cause`](crate::report::finding::Cause), a scenario in
//! `tests/scenarios`, and a heading in `docs/diagnosis.md`; `tests/causes` holds these
//! together. A cause imports no other cause: what two of them need is evidence.

mod bad_checksums;
mod cpu_starvation;
mod lock_waits;
mod loss;
mod network_delay;
mod partition;
mod peer_losing;
mod peer_not_answering;
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

/// How a cause comes to its findings.
pub(super) enum CauseRule {
    /// By the waits that it keeps, if they are worth a finding: a good part of all, and not
    /// over at once.
    OfWaits(fn(&Evidence<'_>, &Waiting<'_>) -> Option<Finding>),
    /// By these and by something else.
    Of(fn(&Evidence<'_>, &Waiting<'_>) -> Option<Ranked>),
    /// By something else alone: there may be several.
    Each(fn(&Evidence<'_>) -> Vec<Ranked>),
    /// By what is left where those above have found this.
    After(fn(&Evidence<'_>, &[Ranked]) -> Option<Ranked>),
    /// Likewise: there may be several.
    EachAfter(fn(&Evidence<'_>, &[Ranked]) -> Vec<Ranked>),
}

use CauseRule::{After, Each, EachAfter, Of, OfWaits};

impl CauseRule {
    /// All that it says, where those above have found this.
    pub(super) fn findings(
        &self,
        evidence: &Evidence<'_>,
        kept: &Waiting<'_>,
        found: &[Ranked],
    ) -> Vec<Ranked> {
        let finding = match self {
            OfWaits(_) if !kept.is_worth_a_finding() => None,
            OfWaits(of) => {
                of(evidence, kept).map(|one| Ranked::new(Rank::Waited(kept.waited_s), one))
            }
            Of(of) => of(evidence, kept),
            Each(each) => return each(evidence),
            After(after) => after(evidence, found),
            EachAfter(each) => return each(evidence, found),
        };
        finding.into_iter().collect()
    }
}

/// Whether a time in which commits waited for a standby is a cause's own.
type Claims = fn(&StandbyWait<'_>) -> bool;

/// What shows in something else than waits for a standby claims none.
const NONE: Claims = |_| false;

/// All of them. A wait belongs to the first that claims it, and each line says why it
/// stands above the next.
pub(super) const CAUSES: &[(Claims, CauseRule)] = &[
    // Data at risk come before anything slow.
    (NONE, Each(sync_wait_off::findings)),
    // Nobody there to be slow; a standby that went because of losses counts as lost.
    (|wait| wait.is_gone, OfWaits(standby_gone::finding)),
    // What is lost between the hosts explains whatever is late behind it. Where nothing
    // comes through, that is said instead of loss, which keeps the waits.
    (NONE, Each(partition::findings)),
    (|wait| wait.is_lossy(), Each(loss::findings)),
    (|wait| wait.has_bad_checksums, Each(bad_checksums::findings)),
    // A process on this host that has no processor answers nobody, and makes round trips
    // and disks appear slow.
    (|wait| wait.is_starved, Of(cpu_starvation::finding)),
    // Round trips that take most of a commit leave nothing for the standby; shorter ones
    // count only where nothing is seen of it.
    (
        |wait| wait.rtt_is_long || wait.is_unacknowledged,
        OfWaits(network_delay::finding),
    ),
    // The standby says itself what it has not done yet: that comes before its silence.
    (|wait| wait.has_to_flush, OfWaits(standby_flush::finding)),
    (|wait| wait.has_to_apply, OfWaits(standby_apply::finding)),
    (|wait| wait.is_silent, Of(standby_not_replying::finding)),
    // What is left of the waits for a standby.
    (|_| true, Of(undetermined::finding)),
    // Waits that have nothing to do with a standby: who holds up the WAL holds up those
    // who hold locks.
    (NONE, Of(wal_flush::finding)),
    (NONE, Of(lock_waits::finding)),
    // What samples do not show, commits that were traced do; and where not even that, the
    // commit probe says that something was slow.
    (NONE, After(unsampled::finding)),
    (NONE, After(slow_commits::finding)),
    // What is the matter with a peer that no replication goes to explains no commit.
    (NONE, EachAfter(peer_not_answering::findings)),
    (NONE, Each(peer_losing::findings)),
];
