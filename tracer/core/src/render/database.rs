//! The database in a few lines, for the summary.

use crate::report::postgres::PostgresReport;
use crate::report::sample::Role;
use crate::report::standby::StandbyReport;
use crate::report::statements::Account;
use crate::text::{bytes, harmless};

/// How many standbys and gaps a summary shows; the JSON has all.
const MAX_LISTED: usize = 8;

/// The lines.
#[must_use]
pub fn lines(report: &PostgresReport) -> Vec<String> {
    let mut lines = vec![server(report)];
    let standbys = report
        .standbys
        .iter()
        .zip(crate::recording::standby::labels(&report.standbys));
    lines.extend(
        standbys
            .take(MAX_LISTED)
            .map(|(one, label)| standby(one, &label)),
    );
    let more = report.standbys.len().saturating_sub(MAX_LISTED);
    if more > 0 {
        lines.push(format!(
            "  and {more} more standbys, all of them in the JSON"
        ));
    }
    let user = report.user.as_deref();
    let counted = report.statements.iter();
    lines.extend(counted.filter_map(|account| statements(account, user)));
    lines.extend(
        report
            .probe
            .iter()
            .flat_map(crate::render::latency_probe::summary),
    );
    let shown = report.gaps.iter().take(MAX_LISTED);
    lines.extend(shown.map(|gap| {
        format!(
            "  no samples for {:.1} s from {:.1} s on: {}",
            gap.duration_s,
            gap.offset_s.max(0.0),
            gap.reason
        )
    }));
    let more = report.gaps.len().saturating_sub(MAX_LISTED);
    if more > 0 {
        lines.push(format!("  and {more} more gaps, all of them in the JSON"));
    }
    lines
}

/// The server in a line.
#[must_use]
pub fn server(report: &PostgresReport) -> String {
    let Some(version) = &report.server_version else {
        return format!("PostgreSQL: {} never answered.", report.target);
    };
    let roles: Vec<String> = report
        .roles
        .iter()
        .map(|turn| {
            let role = match turn.role {
                Role::Primary => "primary",
                Role::Standby => "standby",
            };
            let timeline = turn
                .timeline
                .map_or_else(|| "?".to_owned(), |t| t.to_string());
            format!("{role} on timeline {timeline}")
        })
        .collect();
    let mut line = format!(
        "PostgreSQL {}: {}, {} samples",
        harmless(version.split(' ').next().unwrap_or_default(), 16),
        roles.join(", then "),
        report.samples
    );
    if let Some(most) = report.sync_rep_waiters_max {
        line += &format!(", at most {most} backends waited for a standby at once");
    }
    line + "."
}

fn statements(account: &Account, user: Option<&str>) -> Option<String> {
    let (writes, reads) = (account.writes.as_ref()?, account.reads.as_ref()?);
    Some(format!(
        "  statements, each without its commit: {}, {}{}",
        writes.words("writes"),
        reads.words("reads"),
        account.exception(user)
    ))
}

fn standby(standby: &StandbyReport, label: &str) -> String {
    let list = |words: &std::collections::BTreeSet<String>| {
        let words: Vec<_> = words.iter().map(|word| harmless(word, 16)).collect();
        words.join("/")
    };
    let lag = |count: Option<i64>| count.map_or_else(|| "?".to_owned(), bytes);
    format!(
        "  {label} {} {}, at most: {} not sent, {} not flushed, {} not replayed, reply {} old",
        list(&standby.states),
        list(&standby.sync_states),
        lag(standby.sent_lag_bytes_max),
        lag(standby.flush_lag_bytes_max),
        lag(standby.replay_lag_bytes_max),
        standby
            .reply_age_ms_max
            .map_or_else(|| "?".to_owned(), |ms| format!("{:.1} s", ms / 1e3)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::statements::StatementTotal;

    #[test]
    fn where_our_own_role_is_left_out_the_numbers_say_so() {
        let mut account = Account {
            without_own_role: Some(true),
            writes: Some(StatementTotal::default()),
            reads: Some(StatementTotal::default()),
            ..Account::default()
        };
        let line = statements(&account, Some("app")).unwrap();
        assert!(line.ends_with("0 reads, without role app's own"), "{line}");
        account.without_own_role = Some(false);
        let line = statements(&account, Some("app")).unwrap();
        assert!(line.ends_with("0 reads"), "{line}");
    }
}
