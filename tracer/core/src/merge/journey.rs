//! What the slow commits of a primary waited for, through both hosts: what one measured of its
//! waits, with what the other measured of their WAL.
//!
//! A position in the WAL joins them. What passed on either host is a length of time by its own
//! clock, and what is left passed between them: how the clocks differ does not matter. It does
//! for which way that was, and is known from what the two exchanged.

mod stages;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::merge::exchange::Unbounded;
use crate::merge::journey::stages::{MIN_TOLD_MS, parts};
use crate::merge::replication::{Replication, TwoClocks, replications, same_boot};
use crate::report::Report;
use crate::report::commits::SlowReport;
use crate::report::endpoint::Endpoint;
use crate::report::position;
use crate::report::stages::{AwaitedPosition, ByStage, CommitEvent};
use crate::report::walreceiver::{SlowMessage, WalreceiverReport};

pub use self::stages::JourneyStages;

/// A smaller share of what was waited is not told.
const MIN_TOLD_SHARE: f64 = 0.05;

/// The slow commits of one server that waited for one standby, followed through both hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journey {
    /// The primary's host, by its label.
    pub host: String,
    /// The primary's first process.
    pub server_pid: u32,
    /// The standby, as the primary sees it.
    pub standby: Endpoint,
    /// Slow commits of that server that waited for a standby.
    pub commits: u64,
    /// How long, all together.
    pub waited_ms: f64,
    /// Those of them whose WAL was found at the standby.
    pub joined: u64,
    /// Those whose WAL is not among the slowest messages of the standby, and so was there for no
    /// longer than the quickest of these.
    pub quick: u64,
    /// Those of `joined` and `quick` of which it is known how long the network took there, and how
    /// long back.
    #[serde(default)]
    pub apart: u64,
    /// By how much either may be wrong, of one commit at most; `null` if there is none.
    #[serde(default)]
    pub apart_off_by_ms: Option<f64>,
    /// If that is not known of all, why not.
    #[serde(default)]
    pub not_apart: Option<String>,
    /// What the waits of `joined` and `quick` were made of, ms.
    pub stages_ms: JourneyStages,
}

impl Journey {
    /// How many slow commits were followed.
    #[must_use]
    pub fn followed(&self) -> u64 {
        self.joined.saturating_add(self.quick)
    }

    /// What the waiting was made of, in a sentence.
    pub(crate) fn told(&self) -> String {
        let stages = &self.stages_ms;
        let primary = stages.handover + stages.release + stages.wakeup;
        let parts = [
            (stages.standby_flush, "for the standby's flush"),
            (stages.standby_apply, "for the standby's replay"),
            (stages.standby_processor(), "for the standby's walreceiver"),
            (stages.network_out, "on the way to the standby"),
            (stages.network_back, "on the way back"),
            (stages.between, "on the way, there or back"),
            (primary, "on the primary"),
            (stages.unexplained, "not explained"),
        ];
        let share = |ms: f64| match self.waited_ms > 0.0 {
            true => ms / self.waited_ms,
            false => 0.0,
        };
        let parts = parts.iter().filter(|(ms, _)| share(*ms) >= MIN_TOLD_SHARE);
        let parts: Vec<String> = parts
            .map(|(ms, what)| format!("{:.0} % {what}", 100.0 * share(*ms)))
            .collect();
        let waited_s = self.waited_ms / 1e3;
        let followed = match (self.followed(), self.commits) {
            (1, 1) => {
                format!("Followed through both hosts, the one slow commit waited {waited_s:.1} s")
            }
            (followed, all) if followed == all => {
                format!(
                    "Followed through both hosts, all {all} slow commits waited {waited_s:.1} s"
                )
            }
            (followed, all) => format!(
                "{all} slow commits waited {waited_s:.1} s, {followed} of them followed through both hosts. Of all the waiting"
            ),
        };
        format!(
            "{followed}: {}.",
            match parts.is_empty() {
                true => "no stage of any weight".to_owned(),
                false => parts.join(", "),
            }
        )
    }

    /// Each stage: what it is, whose time, how long together, ms.
    pub(crate) fn stages(&self) -> [(&'static str, &'static str, f64); 12] {
        let of = &self.stages_ms;
        [
            ("handover to the walsender", "primary", of.handover),
            (
                "on the way to the standby",
                "network, or zero window",
                of.network_out,
            ),
            (
                "between the hosts, there and back",
                "network, or zero window",
                of.between,
            ),
            ("read by the walreceiver", "standby", of.standby_read),
            ("written", "standby", of.standby_write),
            ("flushed", "standby's disk", of.standby_flush),
            ("reply sent", "standby", of.standby_reply),
            ("replayed", "standby's startup process", of.standby_apply),
            ("on the way back", "network", of.network_back),
            ("reply read", "primary", of.release),
            ("backend woken", "primary", of.wakeup),
            ("unexplained", "nobody's", of.unexplained),
        ]
    }
}

/// All that can be followed.
pub(crate) fn journeys(primary: &Report, label: &str, standby: &Report) -> Vec<Journey> {
    let found = pairs(primary, standby).map(|pair| {
        let commits = primary.commits.iter().flat_map(|one| &one.slow);
        let server = pair.of.server.pid;
        let own = commits.filter(|one| one.server_pid == server && one.stages_ms.is_some());
        journey(label, &pair, own.collect())
    });
    found.filter(|one| one.followed() > 0).collect()
}

/// What is known of one slow commit beyond its host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BeyondHost {
    /// What it waited for there, in words.
    pub(crate) told: String,
    /// What its wait was made of, through both hosts.
    pub(crate) stages_ms: JourneyStages,
    /// When its WAL arrived there, ms from its beginning; `None` if that is not known, and with it
    /// which way the network took how long.
    pub(crate) arrived_ms: Option<f64>,
    /// What happened then on the standby's connection, from that arrival on.
    pub(crate) events: Vec<CommitEvent>,
}

/// What one slow commit waited for beyond its host; `None` if it cannot be followed.
pub(crate) fn of_commit(
    primary: &Report,
    standby: &Report,
    commit: &SlowReport,
) -> Option<BeyondHost> {
    let mut own = pairs(primary, standby).filter(|pair| pair.of.server.pid == commit.server_pid);
    own.find_map(|pair| {
        let mut stages = JourneyStages::default();
        Some(match pair.follow(commit, &mut stages)? {
            Followed::Joined(apart) => {
                let (message, arrived_ms) = pair.placed(commit)?;
                let known = match apart {
                    Ok(off_by_ms) if off_by_ms < MIN_TOLD_MS => String::new(),
                    Ok(off_by_ms) => format!(" (give or take {off_by_ms:.1} ms)"),
                    Err(reason) => format!(" (which way is not known: {reason})"),
                };
                BeyondHost {
                    told: format!("{}{known}", stages.beyond()),
                    stages_ms: stages,
                    arrived_ms,
                    events: message.events.clone(),
                }
            }
            Followed::Quick => BeyondHost {
                told: format!(
                    "its WAL was on the standby, and its reply on the way back, for {:.1} ms at most; {:.1} ms on the way to it",
                    pair.most_ms.unwrap_or(0.0),
                    stages.network_out
                ),
                stages_ms: stages,
                arrived_ms: None,
                events: Vec::new(),
            },
        })
    })
}

/// A replication, and what joins its two ends.
struct Pair<'a> {
    of: Replication<'a>,
    /// The slowest messages by where their WAL ends.
    listed: BTreeMap<u64, &'a SlowMessage>,
    /// How long the others were on the standby at most, and their replies on the way back.
    most_ms: Option<f64>,
    /// What is known of the clocks, or why nothing is.
    clocks: Result<TwoClocks, &'static str>,
    /// When each counting began, ns of its clock.
    starts_ns: Option<[u64; 2]>,
}

/// How a commit was followed.
enum Followed {
    /// Its message is among those that took longest; and by how much the two ways may be wrong,
    /// ms, or why they are not known apart.
    Joined(Result<f64, &'static str>),
    /// It is not.
    Quick,
}

fn pairs<'a>(primary: &'a Report, standby: &'a Report) -> impl Iterator<Item = Pair<'a>> {
    let lost = [primary, standby].into_iter().flat_map(|one| &one.commits);
    // Of what was lost, it is not known whether it was slow.
    let is_whole = lost.map(|one| one.stages_lost).all(|lost| lost == 0);
    let starts_ns = primary.clock.start_ns.zip(standby.clock.start_ns);
    let same_boot = same_boot(primary, standby);
    replications(primary, standby).map(move |of| Pair {
        listed: {
            let listed = of.received.slowest.iter();
            listed
                .filter_map(|one| Some((position::parse(&one.lsn)?, one)))
                .collect()
        },
        most_ms: longest_unlisted(of.received).filter(|_| is_whole),
        clocks: match same_boot {
            true => Ok(TwoClocks::Same),
            false => of.bounds().map(TwoClocks::Bounded).map_err(why_unbounded),
        },
        starts_ns: starts_ns.map(<[u64; 2]>::from),
        of,
    })
}

/// Why the two ways are not known apart.
const fn why_unbounded(unbounded: Unbounded) -> &'static str {
    match unbounded {
        Unbounded::NoExchange => {
            "the two reports have no message and no reply in common by which the clocks could be compared"
        }
        Unbounded::Contradiction => {
            "what the two hosts exchanged contradicts itself: the clock of one has jumped"
        }
    }
}

fn journey(label: &str, pair: &Pair<'_>, commits: Vec<&SlowReport>) -> Journey {
    let mut journey = Journey {
        host: label.to_owned(),
        server_pid: pair.of.server.pid,
        standby: pair.of.sent.remote.clone(),
        commits: commits.len() as u64,
        waited_ms: commits.iter().map(|one| one.wait_ms).sum(),
        joined: 0,
        quick: 0,
        apart: 0,
        apart_off_by_ms: None,
        not_apart: None,
        stages_ms: JourneyStages::default(),
    };
    for commit in commits {
        let apart = match pair.follow(commit, &mut journey.stages_ms) {
            Some(Followed::Joined(apart)) => {
                journey.joined = journey.joined.saturating_add(1);
                apart
            }
            Some(Followed::Quick) => {
                journey.quick = journey.quick.saturating_add(1);
                Ok(0.0)
            }
            None => continue,
        };
        match apart {
            Ok(off_by_ms) => {
                journey.apart = journey.apart.saturating_add(1);
                let most = journey.apart_off_by_ms.unwrap_or(0.0).max(off_by_ms);
                journey.apart_off_by_ms = Some(most);
            }
            Err(reason) => journey.not_apart = Some(reason.to_owned()),
        }
    }
    journey
}

impl Pair<'_> {
    /// Adds what a commit waited for.
    fn follow(&self, commit: &SlowReport, sums: &mut JourneyStages) -> Option<Followed> {
        if commit.walsender_pid != Some(self.of.sent.walsender_pid) {
            return None;
        }
        let (stages, lsn) = commit.stages_ms.zip(position::parse(&commit.lsn))?;
        let awaited = commit.awaited.unwrap_or(AwaitedPosition::Flush);
        if let Some(message) = message_with(&self.listed, lsn) {
            let back = self.back(commit, &stages, awaited, message);
            let apart = sums.add(&stages, &parts(awaited, &message.stages_ms), back);
            return Some(Followed::Joined(apart));
        }
        let is_quick = awaited != AwaitedPosition::Apply && is_known(self.of.received, lsn);
        let most_ms = self.most_ms.filter(|_| is_quick)?;
        sums.add_quick(&stages, most_ms);
        Some(Followed::Quick)
    }

    /// The message that had a commit's WAL, and when that arrived, ms from the commit's beginning.
    fn placed(&self, commit: &SlowReport) -> Option<(&SlowMessage, Option<f64>)> {
        let (stages, lsn) = commit.stages_ms.zip(position::parse(&commit.lsn))?;
        let awaited = commit.awaited.unwrap_or(AwaitedPosition::Flush);
        let message = message_with(&self.listed, lsn)?;
        let back = self.back(commit, &stages, awaited, message);
        let arrived = back.ok().zip(replied_after(awaited, message));
        let arrived_ms = arrived.map(|([least, most], replied_ms)| {
            let replied = reply_arrived_ms(commit, &stages) - f64::midpoint(least, most);
            replied - replied_ms
        });
        Some((message, arrived_ms))
    }

    /// How long the reply that ended a wait was on its way, ms at least and at most.
    fn back(
        &self,
        commit: &SlowReport,
        stages: &ByStage<f64>,
        awaited: AwaitedPosition,
        message: &SlowMessage,
    ) -> Result<[f64; 2], &'static str> {
        let clocks = self.clocks.as_ref().map_err(|reason| *reason)?;
        let [ours_ns, theirs_ns] = self
            .starts_ns
            .ok_or("one of the reports was written by an earlier version")?;
        if stages.unexplained > 0.0 {
            return Err("not all of a wait could be seen on the primary");
        }
        let replied_ms = replied_after(awaited, message)
            .ok_or("when the reply was sent that ended a wait is not known")?;
        let arrived_ms = reply_arrived_ms(commit, stages);
        let arrived_ns = moment(ours_ns, commit.offset_s, arrived_ms);
        let replied_ns = moment(theirs_ns, message.offset_s, replied_ms);
        let took = clocks.took_back(replied_ns, arrived_ns);
        Ok([took.least_ns / 1e6, took.most_ns / 1e6])
    }
}

/// When the reply arrived that ended a wait, ms from the commit's beginning: the last of a commit is
/// the wait, and the last of that is what follows.
fn reply_arrived_ms(commit: &SlowReport, stages: &ByStage<f64>) -> f64 {
    commit.total_ms - stages.wakeup - stages.release
}

/// A moment so long after the start of a window and of what began then, ns.
fn moment(start_ns: u64, offset_s: f64, after_ms: f64) -> u64 {
    let after_ns = (offset_s * 1e9 + after_ms * 1e6).round();
    // What no file should claim ends at either end of time.
    start_ns.saturating_add_signed(after_ns as i64)
}

/// How long after its arrival the reply to a message was sent that says what was awaited, ms.
fn replied_after(awaited: AwaitedPosition, message: &SlowMessage) -> Option<f64> {
    let stages = &message.stages_ms;
    let known = |stage: Option<f64>| stage.unwrap_or(0.0);
    match awaited {
        // The reply that says so is sent before the flush, and is not told apart from it.
        AwaitedPosition::Write => None,
        AwaitedPosition::Flush => Some(message.total_ms - known(stages.acknowledged)),
        AwaitedPosition::Apply => {
            let flushed = known(stages.read) + known(stages.write) + known(stages.flush);
            Some(flushed + stages.apply?)
        }
    }
}

/// The message whose WAL has it at its end or within.
fn message_with<'a>(by_end: &BTreeMap<u64, &'a SlowMessage>, lsn: u64) -> Option<&'a SlowMessage> {
    let (end, message) = by_end.range(lsn..).next()?;
    (end.saturating_sub(lsn) < message.bytes).then_some(*message)
}

/// How long messages that are not listed were on the standby at most, until their reply was
/// acknowledged; `None` if all are listed.
fn longest_unlisted(received: &WalreceiverReport) -> Option<f64> {
    let quickest = received.slowest.iter().map(|one| one.total_ms);
    let all_are_listed = received.messages <= received.slowest.len() as u64;
    quickest.reduce(f64::min).filter(|_| !all_are_listed)
}

/// Whether the stages of the message that had it are known.
fn is_known(received: &WalreceiverReport, lsn: u64) -> bool {
    let ends = [&received.from_lsn, &received.to_lsn];
    let [from, to] = ends.map(|end| end.as_deref().and_then(position::parse));
    from.is_some_and(|from| from < lsn) && to.is_some_and(|to| lsn <= to)
}

#[cfg(test)]
mod tests;
