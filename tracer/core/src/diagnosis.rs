//! What the waiting was for.
//!
//! Pure: from what was recorded. Findings are made of the whole run, and know
//! neither of phases nor of what was injected on purpose: what the data do not show is
//! not found.
//!
//! Here is only the engine. It gives every time in which commits waited for a standby to
//! the first cause of the table that claims it, asks each cause what to say of what it
//! kept, and puts the answers into order. What the causes are is in [`cause`], what they
//! rest on in [`crate::evidence`].

mod cause;
mod network;
mod own_waits;
mod rank;
mod seen_events;
mod standby_lag;
#[cfg(test)]
mod tests;

use crate::evidence::Evidence;
use crate::evidence::waiting::Waiting;
use crate::recording::Recording;
use crate::report::finding::Finding;
use cause::CAUSES;
use rank::Ranked;

/// What was found, the most important first.
#[must_use]
pub fn findings(recorded: &Recording) -> Vec<Finding> {
    let evidence = Evidence::new(recorded);
    let mut found: Vec<Ranked> = Vec::new();
    for ((_, rule), kept) in CAUSES.iter().zip(attribute(&evidence)) {
        found.extend(rule.findings(&evidence, &kept, &found));
    }
    rank::in_order(found)
}

/// The waits for a standby that each cause of the table keeps: the first that claims one.
fn attribute<'a>(evidence: &Evidence<'a>) -> Vec<Waiting<'a>> {
    let mut kept = vec![Vec::new(); CAUSES.len()];
    for wait in &evidence.standby_waits {
        if let Some(cause) = CAUSES.iter().position(|(claims, _)| claims(wait)) {
            kept[cause].push(wait.interval);
        }
    }
    kept.into_iter().map(|one| evidence.waiting(one)).collect()
}
