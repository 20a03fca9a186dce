//! What became of WAL that arrived at standbys on this host, in words.

use crate::render::table::{known, milliseconds as ms};
use crate::report::histogram::PartQuantiles;
use crate::report::walreceiver::{ByReceiverStage, ReceiverStage, WalreceiverReport};

/// How many standbys a summary shows; the JSON has all.
const MAX_LISTED: usize = 4;

/// What a stage is, for people.
pub(crate) const fn what(stage: ReceiverStage) -> &'static str {
    match stage {
        ReceiverStage::Read => "read by the walreceiver",
        ReceiverStage::Write => "written",
        ReceiverStage::Flush => "flushed",
        ReceiverStage::Reply => "reply sent",
        ReceiverStage::Acknowledged => "reply acknowledged",
        ReceiverStage::Apply => "replayed after its flush",
    }
}

/// All of them in some lines, for the summary.
pub(crate) fn summary(standbys: &[WalreceiverReport]) -> Vec<String> {
    let lines = standbys.iter().take(MAX_LISTED).map(one);
    lines.flatten().collect()
}

fn one(standby: &WalreceiverReport) -> Vec<String> {
    let name = format!("WAL received by PostgreSQL, pid {}", standby.server_pid);
    let mut lines = Vec::new();
    if standby.measured {
        let remote = standby.remote.as_ref().map(|one| one.address);
        let messages = standby.messages;
        let first = format!("{name}, from {}: {messages} messages", known(remote));
        lines.push(first + if messages > 0 { ", each" } else { "." });
        lines.extend(ReceiverStage::ALL.iter().filter_map(|stage| {
            let took = times(standby.stages.of(*stage))?;
            Some(format!("  {} in {took}", what(*stage)))
        }));
        if let Some(slowest) = standby.slowest.first() {
            lines.push(format!(
                "  slowest: {:.1} ms at {:.1} s, WAL up to {}: {}",
                slowest.total_ms,
                slowest.offset_s,
                slowest.lsn,
                stages(&slowest.stages_ms)
            ));
        }
    } else {
        lines.push(format!("{name}: not followed."));
    }
    let reason = standby.reason.as_ref();
    lines.extend(reason.map(|reason| format!("  not all is known: {reason}")));
    lines
}

/// `None` if it was never seen.
fn times(took: &PartQuantiles) -> Option<String> {
    took.part.max_ms?;
    Some(format!(
        "p50 {}, p99 {}, max {}",
        ms(took.part.p50_ms),
        ms(took.part.p99_ms),
        ms(took.part.max_ms)
    ))
}

/// One message, its stages with how long each took, ms.
fn stages(stages: &ByReceiverStage<Option<f64>>) -> String {
    let told = ReceiverStage::ALL.iter().filter_map(|stage| {
        let took = stages.of(*stage).filter(|took| *took >= 0.05)?;
        Some(format!("{took:.1} {}", what(*stage)))
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::walreceiver::SlowMessage;

    fn report() -> WalreceiverReport {
        let took = |ns: &[u64]| {
            let mut sum = crate::report::histogram::Histogram::empty();
            ns.iter().for_each(|ns| sum.add(*ns));
            sum.quantiles()
        };
        let quick = [40_000, 50_000, 60_000];
        WalreceiverReport {
            server_pid: 812,
            pid: Some(815),
            connections: 1,
            local: None,
            remote: None,
            measured: true,
            reason: None,
            hooks: Vec::new(),
            messages: 3,
            bytes: 600,
            from_lsn: None,
            to_lsn: None,
            stages: ByReceiverStage::new(|stage| match stage {
                ReceiverStage::Flush => took(&[400_000, 500_000, 2_800_000_000]),
                ReceiverStage::Apply => took(&[]),
                _ => took(&quick),
            }),
            slowest: vec![SlowMessage {
                start: String::new(),
                offset_s: 3.25,
                lsn: "0/3026840".to_owned(),
                bytes: 200,
                total_ms: 2_800.2,
                stages_ms: ByReceiverStage::new(|stage| match stage {
                    ReceiverStage::Flush => Some(2_800.0),
                    ReceiverStage::Apply => None,
                    _ => Some(0.05),
                }),
                events: Vec::new(),
            }],
            exchanges: Default::default(),
        }
    }

    #[test]
    fn what_took_long_is_told_with_its_stage() {
        insta::assert_snapshot!(summary(&[report()]).join("\n"));
    }

    #[test]
    fn what_is_not_known_is_told_with_its_reason() {
        let unknown = WalreceiverReport {
            measured: false,
            messages: 0,
            reason: Some("its program does not export issue_xlog_fsync".to_owned()),
            ..report()
        };
        insta::assert_snapshot!(summary(&[unknown]).join("\n"));
    }
}
