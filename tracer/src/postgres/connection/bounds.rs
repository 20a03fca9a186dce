//! What holds while a server is read, and ends with the reading.

/// Bounds of one transaction. They are set by its first statement, and for it alone: the
/// session may be lent by a pooler. A transaction that is undone takes them along.
///
/// Two statements or more in one message are one transaction without a `BEGIN` that
/// could be left open
/// ([simple protocol](https://www.postgresql.org/docs/15/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT)),
/// and each is analysed after those before it have run: names in them are looked for in
/// `pg_catalog` alone. Temporary tables are otherwise found first, and those of a lent
/// session are somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Bounds {
    /// Whether `pg_stat_statements` is kept from counting what we ask. A statement
    /// that turns the counting off is itself not counted: that is decided when it ends.
    pub(crate) uncounted: bool,
}

const SETTINGS: [(&str, &str); 5] = [
    ("search_path", "pg_catalog, pg_temp"),
    ("transaction_read_only", "on"),
    ("statement_timeout", "8s"),
    ("lock_timeout", "4s"),
    ("application_name", crate::postgres::connection::APPLICATION),
];
const UNCOUNTED: (&str, &str) = ("pg_stat_statements.track", "none");

impl Bounds {
    /// The statements behind the bounds, to be sent as one message.
    pub(crate) fn around(self, sql: &str) -> String {
        let more = self.uncounted.then_some(UNCOUNTED);
        let settings: Vec<String> = more
            .into_iter()
            .chain(SETTINGS)
            .map(|(name, value)| format!("pg_catalog.set_config('{name}', '{value}', true)"))
            .collect();
        format!("select {};\n{sql}", settings.join(",\n  "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_the_transaction_s_own() {
        for uncounted in [false, true] {
            let sql = Bounds { uncounted }.around("select 1");
            assert_eq!(
                sql.matches("set_config(").count(),
                sql.matches(", true)").count()
            );
            assert_eq!(sql.contains("pg_stat_statements"), uncounted);
            assert!(sql.ends_with(";\nselect 1"), "{sql}");
            let keywords = ["begin", "set session", "reset", "prepare"];
            assert!(!keywords.iter().any(|word| sql.contains(word)), "{sql}");
        }
    }
}
