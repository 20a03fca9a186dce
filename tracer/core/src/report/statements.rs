//! How many statements a server runs, and how long they take: sums over all that
//! `pg_stat_statements` counts, without their texts.
//!
//! A statement writes if it writes a WAL record at every second call at least, apart from images
//! of pages: many reads write one now and then, as they tidy up a page that they pass. What is measured is its
//! execution: its commit, and what that waits for, comes after and is not in it.

use serde::{Deserialize, Serialize};

use crate::text::name;

/// Sums since the statistics began.
#[derive(Debug, Clone, PartialEq)]
pub struct Sums {
    /// Statements that are kept apart.
    pub kinds: u64,
    /// Calls, and their time in ms, of statements that write.
    pub writes: (u64, f64),
    /// Of all others.
    pub reads: (u64, f64),
    /// When the statistics began, and how often the least used were thrown out.
    pub since: Option<(String, u64)>,
}

/// Between two samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Statements {
    /// Statements that write WAL at every second call at least.
    pub writes: Pace,
    /// All others, also `BEGIN` and `COMMIT`.
    pub reads: Pace,
}

/// How often, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// How many ended.
    pub calls: u64,
    /// The same a second.
    pub calls_per_s: f64,
    /// How long one was executed, without its commit; `null` if there was none.
    pub mean_ms: Option<f64>,
}

/// Over a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StatementTotal {
    /// How many ended.
    pub calls: u64,
    /// How long one was executed, without its commit; `null` if there was none.
    pub mean_ms: Option<f64>,
    #[serde(skip)]
    ms: f64,
}

/// The extension that counts statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its schema, in quotes if it needs any.
    pub schema: String,
    /// Whether all that our own role runs is left out.
    pub without_own_role: bool,
}

/// Statements over a run, on all connections.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The schema of the extension that counts them; `null` if nothing is known.
    pub schema: Option<String>,
    /// Why nothing is known, since the last connection.
    pub reason: Option<String>,
    /// Whether all that our own role runs is left out: a role that may not set
    /// `pg_stat_statements.track` cannot keep its samples from being counted.
    pub without_own_role: Option<bool>,
    /// Samples that had both sorts.
    pub samples: u64,
    /// Statements that write WAL at every second call at least.
    pub writes: Option<StatementTotal>,
    /// All others, also `BEGIN` and `COMMIT`.
    pub reads: Option<StatementTotal>,
}

impl Account {
    pub(crate) fn begin(&mut self, origin: Result<Origin, String>) {
        match origin {
            Ok(origin) => {
                self.schema = Some(origin.schema);
                self.without_own_role = Some(origin.without_own_role);
                self.reason = None;
            }
            Err(reason) => self.reason = Some(reason),
        }
    }

    /// What a reader of the numbers must know, to be put behind them: where an
    /// application's own role is used, all that it does is missing.
    pub(crate) fn exception(&self, role: Option<&str>) -> String {
        match self.without_own_role {
            Some(true) => format!(", without role {}'s own", role.map_or("?".into(), name)),
            Some(false) | None => String::new(),
        }
    }

    /// Adds a sample.
    pub fn add(&mut self, statements: &Statements) {
        self.samples += 1;
        let writes = self.writes.get_or_insert_default();
        writes.add(&statements.writes);
        let reads = self.reads.get_or_insert_default();
        reads.add(&statements.reads);
    }
}

impl Sums {
    /// What came since then; `None` if the statistics are not a continuation of what
    /// they were: then what had come before the reset is not known.
    #[must_use]
    pub fn since(&self, before: &Self, seconds: f64) -> Option<Statements> {
        // Kinds also get fewer by a reset of one, which nothing else shows, and when
        // others push them out.
        if self.since != before.since || self.kinds < before.kinds || seconds <= 0.0 {
            return None;
        }
        let pace = |now: (u64, f64), then: (u64, f64)| {
            let calls = now.0.checked_sub(then.0)?;
            let ms = now.1 - then.1;
            // Neither runs backwards unless a statement was taken for the other sort.
            (ms >= 0.0).then(|| Pace {
                calls,
                calls_per_s: calls as f64 / seconds,
                mean_ms: mean(calls, ms),
            })
        };
        Some(Statements {
            writes: pace(self.writes, before.writes)?,
            reads: pace(self.reads, before.reads)?,
        })
    }
}

impl StatementTotal {
    fn add(&mut self, pace: &Pace) {
        self.calls += pace.calls;
        self.ms += pace.mean_ms.unwrap_or(0.0) * pace.calls as f64;
        self.mean_ms = mean(self.calls, self.ms);
    }
}

fn mean(calls: u64, ms: f64) -> Option<f64> {
    (calls > 0).then(|| ms / calls as f64)
}

fn of_mean(mean_ms: Option<f64>) -> String {
    mean_ms.map_or_else(String::new, |ms| format!(" of {ms:.1} ms"))
}

impl Pace {
    /// In a few words.
    #[must_use]
    pub fn words(&self, what: &str) -> String {
        format!("{:.0} {what}/s{}", self.calls_per_s, of_mean(self.mean_ms))
    }
}

impl StatementTotal {
    /// In a few words.
    #[must_use]
    pub fn words(&self, what: &str) -> String {
        format!("{} {what}{}", self.calls, of_mean(self.mean_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(kinds: u64, writes: (u64, f64), reads: (u64, f64)) -> Sums {
        Sums {
            kinds,
            writes,
            reads,
            since: Some(("2026-01-01".into(), 0)),
        }
    }

    #[test]
    fn rates_and_means_are_of_what_came_between() {
        let before = sums(5, (100, 50.0), (1000, 10.0));
        let after = sums(6, (120, 60.0), (1000, 10.0));
        let found = after.since(&before, 2.0).unwrap();
        let writes = Pace {
            calls: 20,
            calls_per_s: 10.0,
            mean_ms: Some(0.5),
        };
        assert_eq!(found.writes, writes);
        assert_eq!((found.reads.calls, found.reads.mean_ms), (0, None));
        assert_eq!(found.writes.words("writes"), "10 writes/s of 0.5 ms");
        assert_eq!(found.reads.words("reads"), "0 reads/s");
    }

    #[test]
    fn after_a_reset_nothing_is_known_of_the_time_before() {
        let before = sums(5, (100, 50.0), (1000, 10.0));
        // Also where as much has come since as there was.
        let reset = Sums {
            since: Some(("2026-01-02".into(), 0)),
            ..sums(5, (200, 90.0), (2000, 20.0))
        };
        let pushed_out = Sums {
            since: Some(("2026-01-01".into(), 1)),
            ..sums(5, (200, 90.0), (2000, 20.0))
        };
        for after in [
            reset,
            pushed_out,
            sums(4, (200, 90.0), (2000, 20.0)),
            sums(5, (99, 60.0), (2000, 20.0)),
            sums(5, (101, 49.0), (2000, 20.0)),
            sums(5, (101, 51.0), (999, 20.0)),
        ] {
            assert_eq!(after.since(&before, 1.0), None, "{after:?}");
        }
        assert_eq!(before.since(&before, 0.0), None);
    }

    #[test]
    fn a_run_is_the_sum_of_its_samples() {
        let mut total = StatementTotal::default();
        for (calls, mean_ms) in [(10, Some(1.0)), (0, None), (30, Some(2.0))] {
            total.add(&Pace {
                calls,
                calls_per_s: 0.0,
                mean_ms,
            });
        }
        assert_eq!((total.calls, total.mean_ms), (40, Some(1.75)));
    }
}
