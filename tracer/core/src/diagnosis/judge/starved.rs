//! A server on this host that had no processor while commits were slow.

use crate::diagnosis::judge::why::Why;
use crate::diagnosis::judge::{Case, LEAST_S, Weighed, by_share};
use crate::evidence::blocked::{Slice, Sort, waited_s};
use crate::evidence::cpu::Starved;
use crate::interval::Span;
use crate::report::finding::{Cause, Finding, Size};

/// `whys` of the slices that a standby held up.
pub(crate) fn judge(case: &Case<'_>, whys: &[Why]) -> Option<Weighed> {
    let trouble = trouble(case);
    let all_ns: u64 = trouble.iter().map(|span| span.length_ns()).sum();
    let (server, spans) = case
        .starved
        .iter()
        .map(|one| {
            let at = trouble.iter().filter(|span| one.is_at(**span)).copied();
            (one, at.collect::<Vec<Span>>())
        })
        .max_by_key(|(_, spans)| spans.iter().map(|span| span.length_ns()).sum::<u64>())?;
    let starved_ns: u64 = spans.iter().map(|span| span.length_ns()).sum();
    let duration_s = starved_ns as f64 / 1e9;
    if duration_s < LEAST_S || spans.len() < crate::diagnosis::judge::LEAST_SAMPLES {
        return None;
    }
    // Whoever waits for one that cannot run waits for the same.
    let held = case.held(Sort::SyncRep).iter().zip(whys);
    let behind: Vec<Slice<'_>> = held
        .filter(|(_, why)| **why == Why::Starved)
        .map(|(slice, _)| *slice)
        .collect();
    let (starved_s, ran_s) = server.waited_and_ran_s(&spans);
    let waited = waited_s(behind.iter(), Sort::SyncRep) + case.behind_starved_s + starved_s;
    let share = starved_ns as f64 / all_ns as f64;
    Some((
        waited,
        Finding {
            text: format!(
                "{} had no processor: over {duration_s:.1} s in which commits were slow, its processes ran for {ran_s:.1} s and were ready to run without running for {starved_s:.1} s, all of them together.",
                name(server)
            ),
            cause: Cause::CpuStarvation,
            confidence: by_share(share),
            size: Size {
                duration_s: Some(duration_s),
                waited_s: Some(waited),
                starved_s: Some(starved_s),
                starved_percent: Some(100.0 * share),
                ..Size::default()
            },
            evidence: ["series", "waited_s", "ran_s"]
                .map(|field| format!("/processors/{}/{field}", server.index))
                .to_vec(),
        },
    ))
}

fn name(server: &Starved<'_>) -> String {
    match server.track.port {
        Some(port) => format!(
            "PostgreSQL on port {port} of this host (pid {})",
            server.track.pid
        ),
        None => format!("PostgreSQL of this host with pid {}", server.track.pid),
    }
}

/// When commits were slow: as the probe felt it, or else as somebody was held up.
fn trouble(case: &Case<'_>) -> Vec<Span> {
    let recorded = case.recorded;
    let Some(probe) = recorded.probe() else {
        let mut spans: Vec<Span> = [Sort::SyncRep, Sort::Wal]
            .into_iter()
            .flat_map(|sort| case.held(sort))
            .map(|slice| slice.span)
            .chain(case.held_starved.iter().copied())
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
            from_ns: step.at_ns.saturating_sub(recorded.interval_ns),
            to_ns: step.at_ns,
        })
        .collect()
}
