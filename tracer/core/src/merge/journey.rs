//! What the slow commits of a primary waited for, through both hosts: what one measured of its
//! waits, with what the other measured of their WAL.
//!
//! A position in the WAL joins them. Only lengths of time are taken from either, each by its
//! own clock: how the clocks differ does not matter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::report::Report;
use crate::report::commits::{ServerReport, SlowReport};
use crate::report::endpoint::Endpoint;
use crate::report::stages::{AwaitedPosition, ByStage, StandbyStages};
use crate::report::walreceiver::{ByReceiverStage, SlowMessage, WalreceiverReport};

/// Less of one commit's wait is not told, ms.
const MIN_TOLD_MS: f64 = 0.05;
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
    /// What the waits of `joined` and `quick` were made of, ms.
    pub stages_ms: JourneyStages,
}

/// Each stage, in the order in which they come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct JourneyStages {
    /// Until the walsender took the WAL: the primary's processor, or what was to be sent before.
    pub handover: f64,
    /// On neither host: the network, there and back, or room that the receiver did not have.
    pub between: f64,
    /// On the standby until it was read: its processor.
    pub standby_read: f64,
    /// On the standby until its flush began, likewise.
    pub standby_write: f64,
    /// The standby's flush: its disk.
    pub standby_flush: f64,
    /// From there until its reply, where that was awaited: its processor.
    pub standby_reply: f64,
    /// From the flush until it was replayed, where that was awaited.
    pub standby_apply: f64,
    /// Until the walsender had read the reply: the primary's processor.
    pub release: f64,
    /// Until the backend went on, likewise.
    pub wakeup: f64,
    /// What could not be seen.
    pub unexplained: f64,
}

impl Journey {
    /// Whether anything of it was.
    fn is_followed(&self) -> bool {
        self.joined > 0 || self.quick > 0
    }

    /// What the waiting was made of, in a sentence.
    pub(crate) fn told(&self) -> String {
        let stages = &self.stages_ms;
        let primary = stages.handover + stages.release + stages.wakeup;
        let parts = [
            (stages.standby_flush, "the standby's flush"),
            (stages.standby_apply, "its replay"),
            (stages.standby_processor(), "its walreceiver"),
            (stages.between, "between the hosts"),
            (primary, "the primary's processors"),
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
        let followed = match (self.joined.saturating_add(self.quick), self.commits) {
            (1, 1) => {
                format!("Followed through both hosts, the one slow commit waited {waited_s:.1} s")
            }
            (followed, all) if followed == all => {
                format!(
                    "Followed through both hosts, all {all} slow commits waited {waited_s:.1} s"
                )
            }
            (followed, all) => format!(
                "Of {waited_s:.1} s that {all} slow commits waited, {followed} of them followed through both hosts"
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
    pub(crate) fn stages(&self) -> [(&'static str, &'static str, f64); 10] {
        let of = &self.stages_ms;
        [
            ("handover to the walsender", "primary", of.handover),
            (
                "between the hosts, there and back",
                "network, or a receiver without room",
                of.between,
            ),
            ("read by the walreceiver", "standby", of.standby_read),
            ("written", "standby", of.standby_write),
            ("flushed", "standby's disk", of.standby_flush),
            ("reply sent", "standby", of.standby_reply),
            ("replayed", "standby's startup process", of.standby_apply),
            ("reply read", "primary", of.release),
            ("backend woken", "primary", of.wakeup),
            ("unexplained", "nobody's", of.unexplained),
        ]
    }
}

impl JourneyStages {
    /// Those on the standby and between the hosts, in words.
    fn beyond(&self) -> String {
        let parts = [
            (self.standby_read, "until the walreceiver had read its WAL"),
            (self.standby_write, "until it began to flush"),
            (self.standby_flush, "to flush"),
            (self.standby_reply, "until it replied"),
            (self.standby_apply, "to replay"),
        ];
        let parts = parts.iter().filter(|(ms, _)| *ms >= MIN_TOLD_MS);
        let parts: Vec<String> = parts
            .map(|(ms, what)| format!("{ms:.1} ms {what}"))
            .collect();
        let standby = match parts.is_empty() {
            true => "on the standby, nothing took a tenth of a millisecond".to_owned(),
            false => format!("on the standby {}", parts.join(", ")),
        };
        let unknown = match self.unexplained >= MIN_TOLD_MS {
            true => format!(", and {:.1} ms are not explained", self.unexplained),
            false => String::new(),
        };
        format!(
            "{standby}; {:.1} ms between the hosts{unknown}",
            self.between
        )
    }

    /// Until the walreceiver flushed, and after it: where it had nothing to wait for.
    pub(crate) fn standby_processor(&self) -> f64 {
        self.standby_read + self.standby_write + self.standby_reply
    }
}

/// All that can be followed.
pub(crate) fn journeys(primary: &Report, label: &str, standby: &Report) -> Vec<Journey> {
    let found = pairs(primary, standby).map(|pair| {
        let commits = primary.commits.iter().flat_map(|one| &one.slow);
        let server = pair.server.pid;
        let own = commits.filter(|one| one.server_pid == server && one.stages_ms.is_some());
        journey(label, &pair, own.collect())
    });
    found.filter(Journey::is_followed).collect()
}

/// What one slow commit waited for beyond its host, in words; `None` if it cannot be followed.
pub(crate) fn of_commit(primary: &Report, standby: &Report, commit: &SlowReport) -> Option<String> {
    let mut own = pairs(primary, standby).filter(|pair| pair.server.pid == commit.server_pid);
    own.find_map(|pair| {
        let mut stages = JourneyStages::default();
        Some(match pair.follow(commit, &mut stages)? {
            Followed::Joined => stages.beyond(),
            Followed::Quick => format!(
                "its WAL was on the standby for {:.1} ms at most; {:.1} ms between the hosts",
                pair.most_ms.unwrap_or(0.0),
                stages.between
            ),
        })
    })
}

/// A server, and what of its WAL was received.
struct Pair<'a> {
    server: &'a ServerReport,
    sent: &'a StandbyStages,
    received: &'a WalreceiverReport,
    /// The slowest messages by where their WAL ends.
    listed: BTreeMap<u64, &'a SlowMessage>,
    /// How long the others were on the standby at most.
    most_ms: Option<f64>,
}

/// How a commit was followed.
enum Followed {
    /// Its message is among those that took longest.
    Joined,
    /// It is not.
    Quick,
}

fn pairs<'a>(primary: &'a Report, standby: &'a Report) -> impl Iterator<Item = Pair<'a>> {
    let servers = primary.commits.iter().flat_map(|one| &one.servers);
    let received = || standby.commits.iter().flat_map(|one| &one.walreceivers);
    let lost = [primary, standby].into_iter().flat_map(|one| &one.commits);
    // Of what was lost, it is not known whether it was slow.
    let is_whole = lost.map(|one| one.stages_lost).all(|lost| lost == 0);
    servers.flat_map(move |server| {
        let standbys = server.stages.standbys.iter().filter(|one| !one.logical);
        standbys.flat_map(move |sent| {
            let same = received().filter(move |one| is_same(server, sent, one));
            same.map(move |received| Pair::new(server, sent, received, is_whole))
        })
    })
}

/// Whether what was sent there was received here, on one connection all the time: after another
/// begins, WAL is sent again, and arrives for the second time.
fn is_same(server: &ServerReport, sent: &StandbyStages, received: &WalreceiverReport) -> bool {
    let same_end = received.local.as_ref() == Some(&sent.remote);
    let port = received.remote.as_ref().map(|remote| remote.port);
    let same_port = server.port.is_none() || server.port == port;
    same_end && same_port && received.connections == 1 && received.reason.is_none()
}

fn journey(label: &str, pair: &Pair<'_>, commits: Vec<&SlowReport>) -> Journey {
    let mut journey = Journey {
        host: label.to_owned(),
        server_pid: pair.server.pid,
        standby: pair.sent.remote.clone(),
        commits: commits.len() as u64,
        waited_ms: commits.iter().map(|one| one.wait_ms).sum(),
        joined: 0,
        quick: 0,
        stages_ms: JourneyStages::default(),
    };
    for commit in commits {
        match pair.follow(commit, &mut journey.stages_ms) {
            Some(Followed::Joined) => journey.joined = journey.joined.saturating_add(1),
            Some(Followed::Quick) => journey.quick = journey.quick.saturating_add(1),
            None => {}
        }
    }
    journey
}

impl<'a> Pair<'a> {
    fn new(
        server: &'a ServerReport,
        sent: &'a StandbyStages,
        received: &'a WalreceiverReport,
        is_whole: bool,
    ) -> Self {
        let listed = received.slowest.iter();
        Self {
            server,
            sent,
            received,
            listed: listed
                .filter_map(|one| Some((position(&one.lsn)?, one)))
                .collect(),
            most_ms: longest_unlisted(received).filter(|_| is_whole),
        }
    }

    /// Adds what a commit waited for.
    fn follow(&self, commit: &SlowReport, sums: &mut JourneyStages) -> Option<Followed> {
        if commit.walsender_pid != Some(self.sent.walsender_pid) {
            return None;
        }
        let (stages, lsn) = commit.stages_ms.zip(position(&commit.lsn))?;
        let awaited = commit.awaited.unwrap_or(AwaitedPosition::Flush);
        if let Some(message) = message_with(&self.listed, lsn) {
            sums.add(&stages, &parts(awaited, &message.stages_ms));
            return Some(Followed::Joined);
        }
        let is_quick = awaited != AwaitedPosition::Apply && is_known(self.received, lsn);
        let most_ms = self.most_ms.filter(|_| is_quick)?;
        sums.add_quick(&stages, most_ms);
        Some(Followed::Quick)
    }
}

/// A position as PostgreSQL writes it.
fn position(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let [high, low] = [high, low].map(|half| u32::from_str_radix(half, 16).ok());
    Some((u64::from(high?) << 32) | u64::from(low?))
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
    let [from, to] = ends.map(|end| end.as_deref().and_then(position));
    from.is_some_and(|from| from < lsn) && to.is_some_and(|to| lsn <= to)
}

/// What a commit waited for of what was done with its WAL on the standby.
fn parts(awaited: AwaitedPosition, of: &ByReceiverStage<Option<f64>>) -> OnStandby {
    let is_flushed = awaited != AwaitedPosition::Write;
    let known = |stage: Option<f64>| stage.unwrap_or(0.0);
    OnStandby {
        read: known(of.read),
        write: known(of.write),
        flush: known(of.flush.filter(|_| is_flushed)),
        reply: known(of.reply.filter(|_| awaited == AwaitedPosition::Flush)),
        apply: known(of.apply.filter(|_| awaited == AwaitedPosition::Apply)),
    }
}

/// How long a commit's WAL was on the standby, ms.
struct OnStandby {
    read: f64,
    write: f64,
    flush: f64,
    reply: f64,
    apply: f64,
}

impl JourneyStages {
    fn add(&mut self, stages: &ByStage<f64>, standby: &OnStandby) {
        let mut beyond = self.add_own(stages);
        // What was over before the wait began took none of it: the last is the surest.
        let mut take = |of: f64| {
            let taken = of.clamp(0.0, beyond);
            beyond -= taken;
            taken
        };
        self.standby_apply += take(standby.apply);
        self.standby_reply += take(standby.reply);
        self.standby_flush += take(standby.flush);
        self.standby_write += take(standby.write);
        self.standby_read += take(standby.read);
        self.between += beyond;
    }

    /// Of one that was on the standby for so long at most.
    fn add_quick(&mut self, stages: &ByStage<f64>, most_ms: f64) {
        let beyond = self.add_own(stages);
        let unknown = most_ms.clamp(0.0, beyond);
        self.unexplained += unknown;
        self.between += beyond - unknown;
    }

    /// Adds what the primary alone knows; returns what was beyond its host.
    fn add_own(&mut self, stages: &ByStage<f64>) -> f64 {
        self.handover += stages.handover;
        self.release += stages.release;
        self.wakeup += stages.wakeup;
        self.unexplained += stages.unexplained;
        // A file may claim less than nothing.
        (stages.acknowledged + stages.remote).max(0.0)
    }
}

#[cfg(test)]
mod tests;
