//! How many connections a server has free, and how many of them the probe may take:
//! somebody else needs them more, and most of all when commits hang.

use tracer_core::recording::probe::Allowance;

/// Of what would be free without us, one in so many.
const SHARE: u32 = 8;
/// So many stay free whatever the share.
const KEPT: u32 = 5;
/// A commit and a read.
const MIN_CONNECTIONS: u32 = 2;
/// Commits and reads that may be under way at once.
pub(crate) const MAX_COMMITS: usize = 32;
/// See [`MAX_COMMITS`].
pub(crate) const MAX_READS: usize = 8;
/// Of the probe's connections, one in so many is for reads, which wait for nobody.
const READS: u32 = 5;

/// What bounds the number of connections the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// `max_connections`, without what is reserved.
    Server,
    /// The role's `CONNECTION LIMIT`.
    Role,
    /// The database's.
    Database,
}

/// What a server says of its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// How many more there could be; below zero if there are more than should be.
    pub(crate) count: i64,
    /// By what.
    pub(crate) by: Bound,
}

/// The room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// A pooler answers: how many connections it has, is not known.
    Lent,
    /// What would be free without ours.
    Free {
        /// How many.
        without_us: u32,
        /// By what.
        by: Bound,
    },
}

impl Free {
    /// The tightest of the bounds that there are.
    pub(crate) fn least(server: i64, role: Option<i64>, database: Option<i64>) -> Self {
        let bounds = [
            Some((server, Bound::Server)),
            role.map(|count| (count, Bound::Role)),
            database.map(|count| (count, Bound::Database)),
        ];
        let least = bounds.into_iter().flatten().min_by_key(|(count, _)| *count);
        let (count, by) = least.unwrap_or((server, Bound::Server));
        Self { count, by }
    }
}

impl Room {
    /// What is free now, with so many connections of ours.
    pub(crate) fn of(free: Free, ours: usize) -> Self {
        let ours = i64::try_from(ours).unwrap_or(i64::MAX);
        let without_us = free.count.saturating_add(ours).max(0);
        Self::Free {
            without_us: u32::try_from(without_us).unwrap_or(u32::MAX),
            by: free.by,
        }
    }

    /// How many connections the probe may have at this moment: few, and none of the last.
    pub(crate) fn allowance(self) -> Allowance {
        let room = match self {
            // Each may be the pool's last: one commit that hangs holds one of them.
            Self::Lent => {
                return Allowance {
                    commits: 1,
                    reads: 1,
                };
            }
            // One is the sampler's.
            Self::Free { without_us, .. } => without_us.saturating_sub(1),
        };
        let all = (room / SHARE).max(MIN_CONNECTIONS);
        if room < all + KEPT {
            return Allowance::default();
        }
        let reads = (all / READS).max(1);
        Allowance {
            commits: usize::try_from(all - reads).map_or(MAX_COMMITS, |n| n.min(MAX_COMMITS)),
            reads: usize::try_from(reads).map_or(MAX_READS, |n| n.min(MAX_READS)),
        }
    }

    /// Why there is no more.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Lent => "it goes through a pooler, of whose connections, which others need, it \
                           takes one for commits and one for reads; connect to the server itself \
                           for more"
                .to_owned(),
            Self::Free { without_us, by } => {
                let of = match by {
                    Bound::Server => "the server (max_connections)",
                    Bound::Role => "the role (CONNECTION LIMIT)",
                    Bound::Database => "the database (CONNECTION LIMIT)",
                };
                format!(
                    "{of} left {without_us} connections, of which it takes an eighth and leaves \
                     {KEPT} in any case"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(without_us: u32) -> (usize, usize) {
        let room = Room::Free {
            without_us,
            by: Bound::Server,
        };
        let Allowance { commits, reads } = room.allowance();
        (commits, reads)
    }

    #[test]
    fn the_probe_takes_a_small_share_and_none_of_the_last() {
        for (without_us, expected) in [
            (0, (0, 0)),
            (7, (0, 0)),
            (8, (1, 1)),
            (22, (1, 1)),
            (98, (10, 2)),
            (400, (32, 8)),
            (u32::MAX, (32, 8)),
        ] {
            assert_eq!(allowed(without_us), expected, "{without_us}");
        }
        for without_us in 0..1_000 {
            let (commits, reads) = allowed(without_us);
            let all = u32::try_from(commits + reads).unwrap();
            assert!(all == 0 || all + 1 + KEPT <= without_us, "{without_us}");
            assert!(
                all <= MIN_CONNECTIONS.max(without_us / SHARE),
                "{without_us}"
            );
        }
    }

    #[test]
    fn the_tightest_bound_counts_and_our_own_are_not_missing() {
        let free = Free::least(90, Some(3), None);
        assert_eq!((free.count, free.by), (3, Bound::Role));
        assert_eq!(Free::least(90, Some(30), Some(-1)).by, Bound::Database);
        let room = Room::of(Free::least(-2, None, None), 12);
        let expected = Room::Free {
            without_us: 10,
            by: Bound::Server,
        };
        assert_eq!(room, expected);
        let none = Room::of(Free::least(-2, None, None), 1);
        assert_eq!(none.allowance(), Allowance::default());
        assert!(none.reason().contains("max_connections"));
    }
}
