//! By how much one host's clock is ahead of another's, bounded by what the two exchanged.
//!
//! Nothing arrives before it was sent. So what goes out says that the other clock is ahead by its
//! arrival less its sending at most, and what comes back that it is ahead by its sending less its
//! arrival at least: the four time stamps of NTP. An exchange that was quick both ways bounds it
//! to half of its round trip, whatever others took, and as clocks drift, those nearby count most.

/// Clocks that are kept right do not drift apart faster: it is the most that a kernel corrects a
/// clock by (`MAXFREQ` of `adjtimex(2)`), and more than crystals are wrong by.
const MAX_DRIFT: f64 = 500e-6;
/// By how much the drift may differ from what it was over all of the run, where that shows one.
const WANDER: f64 = 1e-6;
/// What two bounds may contradict each other by, ns: a processor's interrupt between a time and
/// what it is of.
const ERROR_NS: f64 = 10_000.0;

/// Something that one host sent and the other received, ns by the clock of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OneWay {
    pub(crate) sent_ns: u64,
    pub(crate) arrived_ns: u64,
}

/// Why it is not bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unbounded {
    /// There are no exchanges, or of one direction alone.
    NoExchange,
    /// No two clocks that only drift can have shown them.
    Contradiction,
}

/// By how much the other host's clock is ahead of ours at any time.
#[derive(Debug, Clone)]
pub(crate) struct ClockBounds {
    /// What all figures are ahead of, ns, so that they are exact.
    base_ns: i128,
    /// The first moment, ns of our clock.
    start_ns: u64,
    /// At most, by what went out.
    most: Vec<Bound>,
    /// At least, by what came back.
    least: Vec<Bound>,
    /// How much further the other clock is ahead after a nanosecond, from and to.
    drift: (f64, f64),
}

#[derive(Debug, Clone, Copy)]
struct Bound {
    /// When, ns from the first moment.
    at_ns: f64,
    /// Ahead of the base, ns.
    ahead_ns: f64,
}

/// What a length of time is known to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Between {
    /// At least.
    pub(crate) least_ns: f64,
    /// At most.
    pub(crate) most_ns: f64,
}

impl Between {
    pub(crate) fn middle_ns(self) -> f64 {
        f64::midpoint(self.least_ns, self.most_ns)
    }
}

impl ClockBounds {
    /// By what we sent and the other received, and by what the other sent and we received.
    pub(crate) fn new(out: &[OneWay], back: &[OneWay]) -> Result<Self, Unbounded> {
        let (Some(first), false) = (out.first(), back.is_empty()) else {
            return Err(Unbounded::NoExchange);
        };
        let ours = out.iter().map(|one| one.sent_ns);
        let ours = ours.chain(back.iter().map(|one| one.arrived_ns));
        let start_ns = ours.min().unwrap_or(0);
        let base_ns = ahead(first.arrived_ns, first.sent_ns);
        let bound = |ours_ns: u64, theirs_ns: u64| Bound {
            at_ns: ours_ns.saturating_sub(start_ns) as f64,
            ahead_ns: ahead(theirs_ns, ours_ns).saturating_sub(base_ns) as f64,
        };
        let out = out.iter().map(|one| bound(one.sent_ns, one.arrived_ns));
        let back = back.iter().map(|one| bound(one.arrived_ns, one.sent_ns));
        let mut bounds = Self {
            base_ns,
            start_ns,
            most: out.collect(),
            least: back.collect(),
            drift: (-MAX_DRIFT, MAX_DRIFT),
        };
        if bounds.contradict() {
            return Err(Unbounded::Contradiction);
        }
        bounds.drift = bounds.shown_drift().unwrap_or(bounds.drift);
        Ok(bounds)
    }

    /// How long something was on its way that the other sent and that arrived here, ns.
    pub(crate) fn took_back(&self, theirs_ns: u64, ours_ns: u64) -> Between {
        let further = self.relative(ours_ns);
        let as_if = ahead(ours_ns, theirs_ns);
        let as_if_ns = as_if.saturating_add(self.base_ns) as f64;
        Between {
            least_ns: as_if_ns + further.least_ns,
            most_ns: as_if_ns + further.most_ns,
        }
    }

    /// By how much the other clock is ahead at a moment of ours.
    pub(crate) fn at(&self, ours_ns: u64) -> Between {
        let (base_ns, further) = (self.base_ns as f64, self.relative(ours_ns));
        Between {
            least_ns: base_ns + further.least_ns,
            most_ns: base_ns + further.most_ns,
        }
    }

    /// The same, ahead of the base.
    fn relative(&self, ours_ns: u64) -> Between {
        let at_ns = ahead(ours_ns, self.start_ns) as f64;
        let (slow, fast) = self.drift;
        let most = self.most.iter().map(|one| {
            let since_ns = at_ns - one.at_ns;
            one.ahead_ns + (since_ns * fast).max(since_ns * slow)
        });
        let least = self.least.iter().map(|one| {
            let since_ns = at_ns - one.at_ns;
            one.ahead_ns + (since_ns * fast).min(since_ns * slow)
        });
        let (most_ns, least_ns) = (
            most.fold(f64::INFINITY, f64::min),
            least.fold(f64::NEG_INFINITY, f64::max),
        );
        // Within what is an error of measurement, either may be it.
        Between {
            least_ns: least_ns.min(most_ns),
            most_ns: most_ns.max(least_ns),
        }
    }

    /// From the first exchange to the last, ns of our clock.
    pub(crate) fn span(&self) -> (u64, u64) {
        let all = self.most.iter().chain(&self.least);
        let last_ns = all.map(|one| one.at_ns).fold(0.0, f64::max);
        (self.start_ns, self.start_ns.saturating_add(last_ns as u64))
    }

    /// How many exchanges bound it: of two directions the rarer.
    pub(crate) fn exchanges(&self) -> u64 {
        self.most.len().min(self.least.len()) as u64
    }

    fn pairs(&self) -> impl Iterator<Item = (&Bound, &Bound)> {
        let most = self.most.iter();
        most.flat_map(|most| self.least.iter().map(move |least| (most, least)))
    }

    fn contradict(&self) -> bool {
        self.pairs().any(|(most, least)| {
            let apart_ns = (most.at_ns - least.at_ns).abs();
            least.ahead_ns - most.ahead_ns > MAX_DRIFT * apart_ns + ERROR_NS
        })
    }

    /// The drifts with which a clock keeps all bounds, if one does that drifts evenly.
    fn shown_drift(&self) -> Option<(f64, f64)> {
        let (mut slow, mut fast) = (-MAX_DRIFT, MAX_DRIFT);
        for (most, least) in self.pairs() {
            let apart_ns = most.at_ns - least.at_ns;
            let further_ns = most.ahead_ns - least.ahead_ns + ERROR_NS;
            if apart_ns > 0.0 {
                fast = fast.min(further_ns / apart_ns);
            } else if apart_ns < 0.0 {
                slow = slow.max(further_ns / apart_ns);
            }
        }
        (slow <= fast).then(|| {
            (
                (slow - WANDER).max(-MAX_DRIFT),
                (fast + WANDER).min(MAX_DRIFT),
            )
        })
    }
}

/// By how much one time is ahead of another, ns.
fn ahead(one_ns: u64, other_ns: u64) -> i128 {
    i128::from(one_ns).saturating_sub(other_ns.into())
}

#[cfg(test)]
mod tests;
