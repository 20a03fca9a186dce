//! The extension that counts statements, where a server has it.

use tracer_core::report::statements::{Origin, Sums};
use tracer_core::text::harmless;

use crate::postgres::answer_row::AnswerRow;
use crate::postgres::connection::bounds::Bounds;
use crate::postgres::connection::{ConnectError, Connection};
use crate::postgres::raw;

/// The longest that a schema's name is, in quotes.
const MAX_SCHEMA: usize = 80;

/// What a statement does that writes: a record at every second call at least, but for images of
/// pages. Where pages have checksums, a read writes one of each page that it is the first to
/// tidy up after a checkpoint (`MarkBufferDirtyHint()`,
/// <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/storage/buffer/bufmgr.c>).
const WRITES: &str = "2 * (wal_records - wal_fpi) >= calls";

/// Anything, to find out whether we may keep our own samples from being counted.
const ANYTHING: &str = "select 1";

/// Where to find the counts, on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// The extension's schema, in quotes if it needs any.
    pub(crate) schema: String,
    /// Whether it says when it began to count.
    knows_resets: bool,
    /// Whether all that our role runs is left out, as our own samples cannot be distinguished from it.
    pub(crate) without_us: bool,
}

impl Source {
    /// Finds it by trying it. What cannot be had is the reason: nothing else depends
    /// on it.
    pub(crate) async fn find(link: &Connection) -> Result<Self, String> {
        let text = |trouble: ConnectError| trouble.text;
        let answer = link.read(Bounds::default(), &find()).await.map_err(text)?;
        let row = AnswerRow::first(&answer);
        let schema = row.text(0).ok_or_else(|| {
            "there is no extension pg_stat_statements in this database".to_owned()
        })?;
        let schema = raw::exact(&schema).ok_or_else(|| {
            format!(
                "the schema of the extension pg_stat_statements has a name that is not UTF-8 and cannot be asked for: {}",
                harmless(&raw::read(&schema), MAX_SCHEMA)
            )
        })?;
        let uncounted = Bounds { uncounted: true };
        let source = Self {
            schema,
            knows_resets: row.is_true(1),
            without_us: !row.is_true(2) || link.read(uncounted, ANYTHING).await.is_err(),
        };
        let bounds = Bounds {
            uncounted: source.keeps_us_out(),
        };
        link.read(bounds, &source.sample()).await.map_err(text)?;
        Ok(source)
    }

    /// What the record keeps of it.
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            schema: self.schema.clone(),
            without_own_role: self.without_us,
        }
    }

    /// Whether our own samples are kept from being counted.
    pub(crate) fn keeps_us_out(&self) -> bool {
        !self.without_us
    }

    /// Asked once an interval, in one round trip with all else.
    pub(crate) fn sample(&self) -> String {
        let schema = &self.schema;
        let info = |column: &str| match self.knows_resets {
            true => format!("(select {column} from {schema}.pg_stat_statements_info())"),
            false => "null".to_owned(),
        };
        let (reset, thrown_out) = (info("extract(epoch from stats_reset)"), info("dealloc"));
        // Of statements within statements the outer ones have the time already.
        let outer = match self.knows_resets {
            true => "toplevel",
            false => "true",
        };
        let others = match self.without_us {
            true => "userid is distinct from (select to_regrole(quote_ident(current_user))::oid)",
            false => "true",
        };
        let sums = |wanted: &str| {
            format!(
                "coalesce(sum(calls) filter (where {wanted}), 0)::int8, \
                 coalesce(sum(total_exec_time) filter (where {wanted}), 0)"
            )
        };
        let (writes, reads) = (sums(WRITES), sums(&format!("not ({WRITES})")));
        format!(
            "select count(*), {writes}, {reads}, {reset}, {thrown_out}
  from {schema}.pg_stat_statements(false) where {outer} and {others}"
        )
    }
}

/// Reads the answer to [`Source::sample`].
pub(crate) fn sums(row: AnswerRow<'_>) -> Option<Sums> {
    Some(Sums {
        kinds: row.number(0)?,
        writes: (row.number(1)?, row.number(2)?),
        reads: (row.number(3)?, row.number(4)?),
        since: row.text(5).zip(row.number(6)),
    })
}

/// Where the extension is, if it is anywhere, and whether it is new enough to know of
/// resets and of statements within statements (1.9, which comes with PostgreSQL 14).
/// Where its library is not loaded, it has no settings, and setting one would make one.
fn find() -> String {
    format!(
        "select {}, exists (select from pg_proc p
  where p.pronamespace = n.oid and p.proname = 'pg_stat_statements_info'),
  current_setting('pg_stat_statements.track', true) is not null
  from pg_extension e join pg_namespace n on n.oid = e.extnamespace
  where e.extname = 'pg_stat_statements'",
        raw::asked("quote_ident(n.nspname)")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_versions_are_asked_for_what_they_have() {
        let mut source = Source {
            schema: "\"My Schema\"".into(),
            knows_resets: false,
            without_us: false,
        };
        assert!(!source.sample().contains("info") && !source.sample().contains("toplevel"));
        source.knows_resets = true;
        source.without_us = true;
        let sample = source.sample();
        for part in [
            "\"My Schema\".pg_stat_statements(false)",
            "\"My Schema\".pg_stat_statements_info()",
            "where toplevel and userid is distinct from",
        ] {
            assert!(sample.contains(part), "{sample}");
        }
    }

    #[test]
    fn an_answer_is_read_and_what_is_none_is_not() {
        let row = |text: &str| -> Vec<Option<String>> {
            let columns = text.split('|');
            columns
                .map(|one| (one != "-").then(|| one.to_owned()))
                .collect()
        };
        let read = sums(AnswerRow(&row("7|100|50.5|1000|1e-3|2026-01-01|0"))).unwrap();
        assert_eq!(read.writes, (100, 50.5));
        assert_eq!(read.since, Some(("2026-01-01".into(), 0)));
        let old = sums(AnswerRow(&row("7|100|50.5|1000|1e-3|-|-"))).unwrap();
        assert_eq!(old.since, None);
        assert_eq!(sums(AnswerRow(&row("7|-|50.5|1000|0|-|-"))), None);
    }
}
