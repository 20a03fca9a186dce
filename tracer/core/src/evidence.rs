//! What the recording shows, before any cause is asked: who waited for what, which
//! standby was awaited, what was lost, how long round trips took.

pub(crate) mod blocked;
pub(crate) mod commit_stages;
pub(crate) mod cpu;
pub(crate) mod links;
pub(crate) mod loss;
mod loss_direction;
pub(crate) mod loss_episode;
mod loss_silence;
pub(crate) mod loss_times;
mod partition;
pub(crate) mod rtt;
mod silence;
mod standby_state;
pub(crate) mod standby_wait;
pub(crate) mod thresholds;
pub(crate) mod waiting;

use crate::interval::Span;
use crate::recording::Recording;
use crate::report::role::Kind;
use crate::report::sample::Sample;
use blocked::{SampleInterval, WaitKind, blocked, sample_intervals, waited_s};
use cpu::StarvedServer;
use links::Links;
use loss::LossSignal;
use loss_episode::loss_retransmits;
use loss_silence::extend_over_silence;
use loss_times::LossTimes;
use partition::{SilentPath, partition, possible_partition_s};
use standby_wait::{StandbyWait, standby_waits};
use waiting::{Waiting, lasted};

pub(crate) use links::hold_commits;

/// All that is seen in a recording, computed once.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) recorded: &'a Recording,
    /// Every sample of a primary, whoever waited.
    pub(crate) samples: Vec<SampleInterval<'a>>,
    /// Whether any of them shows who waits for what.
    pub(crate) sees_waits: bool,
    /// Which connections are which standby's.
    pub(crate) links: Links<'a>,
    /// Servers on this host that had no processor at some time.
    pub(crate) starved: Vec<StarvedServer<'a>>,
    /// Waits for WAL to reach the disk or for a lock while a server had no processor: they
    /// are waits for that.
    pub(crate) behind_starved: BehindStarved,
    /// Segments that were lost or had a bad checksum between primary and standby in the whole run,
    /// for where nobody knows who waited when; most segments first.
    pub(crate) losses_of_run: Vec<LossSignal>,
    /// The same while commits were blocked by a standby, if that lasted, with the silences that
    /// they explain.
    losses: Vec<LossSignal>,
    /// Of each of them, if it is significant.
    during_losses: Vec<Option<DuringLoss<'a>>>,
    /// The sample intervals in which commits were blocked by a standby, and what each shows.
    pub(crate) standby_waits: Vec<StandbyWait<'a>>,
    /// How long backends waited in them, all together, s: nothing, if that did not last.
    standby_waited_s: f64,
    /// Sample intervals that were blocked, by [`WaitKind`].
    blocked: [Vec<SampleInterval<'a>>; WaitKind::ALL.len()],
}

/// Waits that a server without a processor explains.
#[derive(Debug, Default)]
pub(crate) struct BehindStarved {
    pub(crate) spans: Vec<Span>,
    /// For how long, all backends together, s.
    pub(crate) waited_s: f64,
}

/// What waited during a loss, and whether anything came through meanwhile.
#[derive(Debug)]
pub(crate) struct DuringLoss<'a> {
    pub(crate) waiting: Waiting<'a>,
    /// The connection on which nothing did for nearly all of the time.
    pub(crate) partition: Option<SilentPath>,
    /// For how long nothing did, s, if that may have been a partition.
    pub(crate) possible_partition_s: Option<f64>,
}

impl<'a> Evidence<'a> {
    pub(crate) fn new(recorded: &'a Recording) -> Self {
        let samples = sample_intervals(recorded);
        let starved = cpu::starved(recorded);
        let links = Links::new(recorded);
        let mut behind_starved = BehindStarved::default();
        let mut own = |kind| {
            let is_starved =
                |one: &SampleInterval<'_>| starved.iter().any(|server| server.is_at(one.span));
            let all = blocked(recorded, &samples, kind).into_iter();
            let (behind, own): (Vec<_>, Vec<_>) = all.partition(is_starved);
            behind_starved
                .spans
                .extend(behind.iter().map(|one| one.span));
            behind_starved.waited_s += waited_s(behind.iter(), kind);
            own
        };
        let (wal, lock) = (own(WaitKind::Wal), own(WaitKind::Lock));
        let sync_rep = blocked(recorded, &samples, WaitKind::SyncRep);
        let seen = |losses: &[LossSignal]| standby_waits(&links, &starved, &sync_rep, losses);
        let interval_ns = recorded.interval_ns();
        let losses_of_run = loss::signals(recorded, &LossTimes::whole(interval_ns));
        let times = LossTimes::of_waits(sync_rep.iter().map(|one| one.span), interval_ns);
        let mut losses = loss::signals(recorded, &times);
        let before = seen(&losses);
        for loss in &mut losses {
            extend_over_silence(loss, &links, &before);
        }
        // What is over at once is no reason to wait.
        losses.retain(|loss| {
            let there = sync_rep.iter().filter(|one| loss.is_on_path(&links, one));
            lasted(&there.copied().collect::<Vec<_>>())
        });
        let all_s = waited_s(sync_rep.iter(), WaitKind::SyncRep);
        let mut evidence = Self {
            standby_waited_s: if lasted(&sync_rep) { all_s } else { 0.0 },
            sees_waits: samples.iter().any(|one| one.sample.waits.is_some()),
            standby_waits: seen(&losses),
            recorded,
            samples,
            links,
            starved,
            behind_starved,
            losses_of_run,
            losses,
            during_losses: Vec::new(),
            blocked: [sync_rep, wal, lock],
        };
        let losses = evidence.losses.iter();
        evidence.during_losses = losses.map(|loss| evidence.during(loss)).collect();
        evidence
    }

    /// The sample intervals that waits of this kind blocked.
    pub(crate) fn blocked(&self, kind: WaitKind) -> &[SampleInterval<'a>] {
        &self.blocked[kind as usize]
    }

    /// What these are of all waiting for a standby: nothing, if that did not last.
    pub(crate) fn waiting(&self, intervals: Vec<SampleInterval<'a>>) -> Waiting<'a> {
        Waiting::new(intervals, self.standby_waited_s)
    }

    /// What was to be seen only in some of the waits for a standby.
    pub(crate) fn waiting_where(&self, is: impl Fn(&StandbyWait<'a>) -> bool) -> Waiting<'a> {
        let there = self.standby_waits.iter().filter(|one| is(one));
        self.waiting(there.map(|one| one.interval).collect())
    }

    /// Losses that are not another's echo and fall into a good part of the waiting: of two
    /// directions, both may be among them.
    pub(crate) fn significant_losses(
        &self,
    ) -> impl Iterator<Item = (&LossSignal, &DuringLoss<'a>)> {
        let losses = self.losses.iter().zip(&self.during_losses);
        losses.filter_map(|(loss, during)| Some((loss, during.as_ref()?)))
    }

    fn during(&self, loss: &LossSignal) -> Option<DuringLoss<'a>> {
        let waiting = self.waiting_during(loss);
        let is_echo = self.losses.iter().any(|other| {
            loss.may_echo(other) && self.waiting_during(other).is_nearly_all_of(&waiting)
        });
        (waiting.is_much() && !is_echo).then(|| DuringLoss {
            partition: partition(self.recorded, loss, &waiting.intervals),
            possible_partition_s: possible_partition_s(self.recorded, loss, &waiting.intervals),
            waiting,
        })
    }

    /// What a loss may be the reason of.
    fn waiting_during(&self, loss: &LossSignal) -> Waiting<'a> {
        self.waiting_where(|wait| loss.covers(&self.links, &wait.interval))
    }

    /// Segments of the replication that were retransmitted at that time because of a loss;
    /// `None` if its flow was not traced.
    pub(crate) fn retransmitted(&self, intervals: &[SampleInterval<'_>]) -> Option<u64> {
        // What the primary retransmits is seen on its own host; here, whether it arrives.
        let arrives = |one: &SampleInterval<'_>| {
            let serves = |flow| self.links.serves(flow, one.index);
            rtt::arrives(self.recorded, one.span, serves) == Some(true)
        };
        let ours = || {
            let serving = self.links.serving(intervals);
            serving.filter_map(|flow| self.recorded.flows.get(flow))
        };
        let is_here = ours().any(|track| track.kind() == Kind::Walsender);
        if !is_here && !intervals.iter().any(arrives) {
            return None;
        }
        let steps = ours().flat_map(|track| &track.series).filter(|step| {
            let next = intervals.partition_point(|one| one.span.to_ns < step.at_ns);
            let interval = intervals.get(next);
            interval.is_some_and(|one| one.span.has(step.at_ns))
        });
        Some(steps.map(loss_retransmits).sum())
    }

    /// Where the report shows the replication that was waited for at these times.
    pub(crate) fn replication(&self, intervals: &[SampleInterval<'_>]) -> Vec<String> {
        let serving = self.links.serving(intervals);
        serving
            .map(|flow| format!("/flows/{flow}/segments"))
            .collect()
    }

    /// The samples that name standbys, whoever waited.
    pub(crate) fn primary_samples(&self) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().map(|one| one.sample)
    }
}
