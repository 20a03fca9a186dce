//! What the waiting was for. Each rule says what it needs to see; where nothing was
//! lost, resent or damaged, and no round trip took long, none speaks of the network.

mod behind;
mod clue;
mod commits;
mod cut;
mod gone;
mod off;
mod own;
mod slow;
mod standby;
mod starved;
mod turned;
mod why;

use crate::evidence::blocked::{Slice, Sort, held_up, slices, waited_s};
use crate::evidence::cpu::Starved;
use crate::evidence::links::{Link, Links, awaited};
use crate::interval::Span;
use crate::recording::Recorded;
use crate::report::finding::{Confidence, Finding};

/// What lasted shorter than this, or was seen once, is not worth a finding.
const LEAST_S: f64 = 1.0;
const LEAST_SAMPLES: usize = 2;
/// What explains less of the waiting than this is not its cause.
const LEAST_SHARE: f64 = 0.2;

/// A finding, and how much it weighs beside others: seconds that backends waited.
type Weighed = (f64, Finding);

/// All that a rule looks at.
pub(crate) struct Case<'a> {
    recorded: &'a Recorded<'a>,
    /// The samples of a primary.
    slices: Vec<Slice<'a>>,
    /// Those in which each sort of waits held things up. Who waits for the log's way to
    /// the disk, or for a lock, while a server has no processor waits for that.
    held: [Vec<Slice<'a>>; Sort::ALL.len()],
    /// Servers on this host that had no processor at some time.
    starved: Vec<Starved<'a>>,
    /// When somebody was held up behind one of these and not by a standby.
    held_starved: Vec<Span>,
    /// For how long, all backends together, s.
    behind_starved_s: f64,
    /// Whether it was visible at any time who waits for what.
    sees_waits: bool,
    /// Which flows are which standby's.
    links: Links,
}

/// What was found, the weightiest first.
#[must_use]
pub fn findings(recorded: &Recorded<'_>) -> Vec<Finding> {
    let slices = slices(recorded);
    let mut held = Sort::ALL.map(|sort| held_up(recorded, &slices, sort));
    let starved = crate::evidence::cpu::starved(recorded);
    let (mut held_starved, mut behind_starved_s) = (Vec::new(), 0.0);
    for sort in [Sort::Wal, Sort::Lock] {
        let is_starved = |slice: &Slice<'_>| starved.iter().any(|one| one.is_at(slice.span));
        let all = std::mem::take(&mut held[sort as usize]);
        let (behind, own): (Vec<_>, Vec<_>) = all.into_iter().partition(is_starved);
        held_starved.extend(behind.iter().map(|slice| slice.span));
        behind_starved_s += waited_s(behind.iter(), sort);
        held[sort as usize] = own;
    }
    let sees_waits = slices.iter().any(|slice| slice.sample.waits.is_some());
    let case = Case {
        recorded,
        held,
        starved,
        held_starved,
        behind_starved_s,
        sees_waits,
        slices,
        links: Links::new(recorded),
    };
    let mut found = off::judge(&case);
    found.extend(standby::judge(&case));
    found.extend(own::judge(&case));
    if !case.sees_waits {
        found.extend(commits::judge(&case).or_else(|| clue::alone(&case)));
    }
    // Waits that are over before the next sample are in none.
    if found.is_empty() && case.sees_waits {
        found.extend(commits::judge(&case));
    }
    if found.is_empty() {
        found.extend(slow::judge(&case).map(|finding| (0.0, finding)));
    }
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    found.into_iter().map(|(_, finding)| finding).collect()
}

impl<'a> Case<'a> {
    fn held(&self, sort: Sort) -> &[Slice<'a>] {
        &self.held[sort as usize]
    }

    /// Whether a flow, by its number, is the way of a standby that holds commits at that
    /// time.
    fn link(&self, flow: usize, slice: &Slice<'_>) -> Link {
        let track = self.recorded.flows.get(flow);
        let track = track.filter(|track| track.is_replication());
        track.map_or(Link::Others, |track| {
            self.links.of(flow, track, &awaited(slice.sample))
        })
    }

    /// Whether it may be.
    fn serves(&self, flow: usize, slice: &Slice<'_>) -> bool {
        self.link(flow, slice) != Link::Others
    }

    /// Flows that may be it at any of these times, by their numbers.
    fn serving<'s>(&'s self, slices: &'s [Slice<'_>]) -> impl Iterator<Item = usize> + 's {
        let flows = 0..self.recorded.flows.len();
        flows.filter(|flow| slices.iter().any(|slice| self.serves(*flow, slice)))
    }
}

/// Whether it lasted long enough to be worth a finding.
fn lasted(slices: &[Slice<'_>]) -> bool {
    slices.len() >= LEAST_SAMPLES && duration_s(slices.iter()) >= LEAST_S
}

fn duration_s<'a>(slices: impl Iterator<Item = &'a Slice<'a>>) -> f64 {
    slices.map(|slice| slice.span.seconds()).sum()
}

/// The sample with the most waiters, and how many.
fn most<'a>(slices: impl Iterator<Item = &'a Slice<'a>>, sort: Sort) -> Option<(usize, u32)> {
    let counted = slices.filter_map(|slice| Some((slice.index, sort.waiters(slice.sample)?)));
    counted.max_by_key(|(_, waiters)| *waiters)
}

fn sample(index: usize, field: &str) -> String {
    format!("/postgres/series/{index}/{field}")
}

fn by_share(share: f64) -> Confidence {
    match share {
        share if share >= 0.7 => Confidence::High,
        share if share >= 0.4 => Confidence::Medium,
        _ => Confidence::Low,
    }
}
