//! The stages of a commit's wait in words.

use crate::render::table::milliseconds as ms;
use crate::report::stages::{ByStage, Stage, StagesReport};

/// How many standbys a summary shows; the JSON has all.
const MAX_STANDBYS: usize = 4;

/// What a stage is, for people.
pub(crate) const fn what(stage: Stage) -> &'static str {
    match stage {
        Stage::Handover => "handover to the walsender",
        Stage::Acknowledged => "sent and acknowledged",
        Stage::Remote => "standby and its reply",
        Stage::Release => "reply read",
        Stage::Wakeup => "backend woken",
        Stage::Unexplained => "unexplained",
    }
}

/// A server's waits in a line for each standby, for the summary.
pub(crate) fn summary(report: &StagesReport) -> Vec<String> {
    let mut lines = Vec::new();
    for standby in report.standbys.iter().take(MAX_STANDBYS) {
        let shares = Stage::ALL.map(|stage| {
            let share = standby.stages.of(stage).share.unwrap_or(0.0);
            (stage, 100.0 * share)
        });
        let told = shares.iter().filter(|(_, share)| *share >= 0.5);
        let told: Vec<String> = told
            .map(|(stage, share)| format!("{share:.0} % {}", what(*stage)))
            .collect();
        lines.push(format!(
            "  {} waits that standby {} ended, {} together: {}",
            standby.waits,
            standby.remote.address,
            ms(Some(standby.waited_ms)),
            told.join(", ")
        ));
    }
    if report.unreleased > 0 {
        lines.push(format!(
            "  {} waits, {} together, that no reply of a standby was seen to end",
            report.unreleased,
            ms(Some(report.unreleased_ms))
        ));
    }
    if let Some(reason) = &report.reason {
        lines.push(format!("  what waits were made of is not known: {reason}"));
    }
    lines
}

/// One wait, its stages with how long each took, ms.
pub(crate) fn one(stages: &ByStage<f64>) -> String {
    let told = Stage::ALL.map(|stage| (stage, *stages.of(stage)));
    let told = told.iter().filter(|(_, took)| *took >= 0.05);
    let told: Vec<String> = told
        .map(|(stage, took)| format!("{took:.1} {}", what(*stage)))
        .collect();
    told.join(", ")
}
