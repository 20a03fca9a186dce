//! A server on this host had no processor while commits were slow.

use crate::diagnosis::rank::{Rank, Ranked};
use crate::evidence::Evidence;
use crate::evidence::blocked::WaitKind;
use crate::evidence::cpu::StarvedServer;
use crate::evidence::thresholds::{MIN_DURATION_S, MIN_SAMPLES};
use crate::evidence::waiting::{Waiting, by_share};
use crate::interval::Span;
use crate::report::finding::{Cause, Finding, Size};

/// Of the server that had none for longest. Whoever waits for one that cannot run waits for
/// the same.
pub(super) fn finding(evidence: &Evidence<'_>, kept: &Waiting<'_>) -> Option<Ranked> {
    let slow = slow_spans(evidence);
    let length_ns = |spans: &[Span]| spans.iter().map(|span| span.length_ns()).sum::<u64>();
    let (server, spans) = evidence
        .starved
        .iter()
        .map(|one| {
            let at = slow.iter().filter(|span| one.is_at(**span)).copied();
            (one, at.collect::<Vec<Span>>())
        })
        .max_by_key(|(_, spans)| length_ns(spans))?;
    let duration_s = length_ns(&spans) as f64 / 1e9;
    if duration_s < MIN_DURATION_S || spans.len() < MIN_SAMPLES {
        return None;
    }
    let (starved_s, ran_s) = server.waited_and_ran_s(&spans);
    let waited_s = kept.waited_s + evidence.behind_starved.waited_s + starved_s;
    let share = length_ns(&spans) as f64 / length_ns(&slow) as f64;
    let finding = Finding {
        text: format!(
            "{} had no CPU: over {duration_s:.1} s in which commits were slow, its processes ran for {ran_s:.1} s and waited for a CPU for {starved_s:.1} s, all of them together.",
            name(server)
        ),
        cause: Cause::CpuStarvation,
        confidence: by_share(share),
        size: Size {
            duration_s: Some(duration_s),
            waited_s: Some(waited_s),
            starved_s: Some(starved_s),
            starved_percent: Some(100.0 * share),
            ..Size::default()
        },
        evidence: ["series", "waited_s", "ran_s"]
            .map(|field| format!("/processors/{}/{field}", server.index))
            .to_vec(),
    };
    Some(Ranked::new(Rank::Waited(waited_s), finding))
}

fn name(server: &StarvedServer<'_>) -> String {
    match server.track.port {
        Some(port) => format!(
            "PostgreSQL on port {port} of this host (pid {})",
            server.track.pid
        ),
        None => format!("PostgreSQL of this host with pid {}", server.track.pid),
    }
}

/// When commits were slow: as the commit probe measured it, or else as somebody waited.
fn slow_spans(evidence: &Evidence<'_>) -> Vec<Span> {
    let recorded = evidence.recorded;
    let Some(probe) = recorded.probe() else {
        let mut spans: Vec<Span> = [WaitKind::SyncRep, WaitKind::Wal]
            .into_iter()
            .flat_map(|kind| evidence.blocked(kind))
            .map(|one| one.span)
            .chain(evidence.behind_starved.spans.iter().copied())
            .collect();
        spans.sort_unstable_by_key(|span| span.to_ns);
        spans.dedup();
        return spans;
    };
    let inside = probe
        .commits
        .iter()
        .filter(|step| recorded.window().has(step.at_ns) && recorded.is_slow(step));
    inside
        .map(|step| Span {
            from_ns: step.at_ns.saturating_sub(recorded.interval_ns()),
            to_ns: step.at_ns,
        })
        .collect()
}
