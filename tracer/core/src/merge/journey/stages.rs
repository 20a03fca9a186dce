//! What waits that were followed through both hosts were made of.

use serde::{Deserialize, Serialize};

use crate::report::stages::{AwaitedPosition, ByStage};
use crate::report::walreceiver::ByReceiverStage;

/// Less of one commit's wait is not told, ms.
pub(super) const MIN_TOLD_MS: f64 = 0.05;

/// Each stage, in the order in which they come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct JourneyStages {
    /// Until the walsender took the WAL: the primary's processor, or what was to be sent before.
    pub handover: f64,
    /// From there until it had arrived at the standby's kernel: the network, or room that the
    /// receiver did not have.
    #[serde(default)]
    pub network_out: f64,
    /// On neither host, where it is not known which way: the network, there and back, or room that
    /// the receiver did not have.
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
    /// From the sending of the reply until it had arrived at the primary's kernel: the network.
    #[serde(default)]
    pub network_back: f64,
    /// Until the walsender had read the reply: the primary's processor.
    pub release: f64,
    /// Until the backend went on, likewise.
    pub wakeup: f64,
    /// What could not be seen.
    pub unexplained: f64,
}

impl JourneyStages {
    /// All that was on neither host, ms.
    #[must_use]
    pub fn network(&self) -> f64 {
        self.network_out + self.between + self.network_back
    }

    /// The field in which most of that is.
    pub(crate) fn longest_way(&self) -> &'static str {
        let (out, back) = (self.network_out, self.network_back);
        if self.between >= out.max(back) {
            "between"
        } else if out >= back {
            "network_out"
        } else {
            "network_back"
        }
    }

    /// What was on neither host, in words.
    fn told_network(&self) -> String {
        let (out, back) = (self.network_out, self.network_back);
        match self.between > 0.0 {
            true => format!("{:.1} ms between the hosts", self.network()),
            false => format!("{out:.1} ms on the way to it and {back:.1} ms on the way back"),
        }
    }

    /// Those on the standby and between the hosts, in words.
    pub(super) fn beyond(&self) -> String {
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
        format!("{standby}; {}{unknown}", self.told_network())
    }

    /// Until the walreceiver flushed, and after it: where it had nothing to wait for.
    pub(crate) fn standby_processor(&self) -> f64 {
        self.standby_read + self.standby_write + self.standby_reply
    }

    /// `back`: how long the reply was on its way at least and at most, ms, or why that is not
    /// known; so is what is returned, by how much it may be wrong.
    pub(super) fn add(
        &mut self,
        stages: &ByStage<f64>,
        standby: &OnStandby,
        back: Result<[f64; 2], &'static str>,
    ) -> Result<f64, &'static str> {
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
        match back {
            Ok(bounds) => {
                let [least, most] = bounds.map(|ms| ms.clamp(0.0, beyond));
                let back = f64::midpoint(least, most);
                self.network_back += back;
                self.network_out += beyond - back;
                Ok((most - least) / 2.0)
            }
            Err(reason) => {
                self.between += beyond;
                Err(reason)
            }
        }
    }

    /// Of one that was on the standby for so long at most, until its reply was acknowledged: the
    /// way back is in that.
    pub(super) fn add_quick(&mut self, stages: &ByStage<f64>, most_ms: f64) {
        let beyond = self.add_own(stages);
        let unknown = most_ms.clamp(0.0, beyond);
        self.unexplained += unknown;
        self.network_out += beyond - unknown;
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

/// What a commit waited for of what was done with its WAL on the standby.
pub(super) fn parts(awaited: AwaitedPosition, of: &ByReceiverStage<Option<f64>>) -> OnStandby {
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
pub(super) struct OnStandby {
    read: f64,
    write: f64,
    flush: f64,
    reply: f64,
    apply: f64,
}
