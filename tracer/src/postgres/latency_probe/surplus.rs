//! How many connections were idle all the time.

/// A commit that hangs needs connections for those that follow; they are the server's
/// again when a whole period needed none of them, so within two.
const PERIOD_NS: u64 = 30_000_000_000;

/// Idle connections over a period.
#[derive(Debug)]
pub(super) struct Surplus {
    least_idle: usize,
    ends_ns: u64,
}

impl Surplus {
    /// Begins with a period.
    pub(super) fn new(now_ns: u64) -> Self {
        Self {
            least_idle: usize::MAX,
            ends_ns: now_ns.saturating_add(PERIOD_NS),
        }
    }

    /// Of this many that are idle now, how many were so through a whole period; 0 until one
    /// is over.
    pub(super) fn look(&mut self, idle: usize, now_ns: u64) -> usize {
        self.least_idle = self.least_idle.min(idle);
        if now_ns < self.ends_ns {
            return 0;
        }
        std::mem::replace(self, Self::new(now_ns)).least_idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_idle_through_a_whole_period_is_too_much() {
        let mut surplus = Surplus::new(0);
        let second = 1_000_000_000;
        // Two of nine are needed once.
        for (at, idle) in [(1, 9), (15, 7), (29, 9)] {
            assert_eq!(surplus.look(idle, at * second), 0);
        }
        assert_eq!(surplus.look(9, 30 * second), 7);
        // The next period knows nothing of the one before.
        assert_eq!(surplus.look(2, 31 * second), 0);
        assert_eq!(surplus.look(5, 59 * second), 0);
        assert_eq!(surplus.look(5, 60 * second), 2);
        assert_eq!(surplus.look(5, 90 * second), 5);
    }
}
