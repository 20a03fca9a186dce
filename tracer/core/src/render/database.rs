//! The database in a few lines, for the summary.

use crate::recording::standby::labels;
use crate::render::latency_probe;
use crate::render::table::{known, known_s};
use crate::report::postgres::PostgresReport;
use crate::report::standby::StandbyReport;
use crate::report::statements::Account;
use crate::text::{bytes, harmless};

/// How many standbys and gaps a summary shows; the JSON has all.
const MAX_LISTED: usize = 8;

/// Server, standbys, statements, the probe and gaps.
pub fn lines(report: &PostgresReport) -> Vec<String> {
    let mut lines = vec![server(report)];
    let standbys = report.standbys.iter().zip(labels(&report.standbys));
    let standbys = standbys.map(|(one, label)| standby(one, &label));
    lines.extend(standbys.take(MAX_LISTED));
    lines.extend(more(report.standbys.len(), "standbys"));
    let statements = report.statements.iter();
    lines.extend(statements.filter_map(|account| words(account, report.user.as_deref())));
    lines.extend(report.probe.iter().flat_map(latency_probe::summary));
    let gaps = report.gaps.iter().map(|gap| {
        format!(
            "  no samples for {:.1} s from {:.1} s on: {}",
            gap.duration_s,
            gap.offset_s.max(0.0),
            gap.reason
        )
    });
    lines.extend(gaps.take(MAX_LISTED));
    lines.extend(more(report.gaps.len(), "gaps"));
    lines
}

/// That there are more than are listed, if there are.
fn more(count: usize, what: &str) -> Option<String> {
    let more = count.saturating_sub(MAX_LISTED);
    (more > 0).then(|| format!("  and {more} more {what}, all of them in the JSON"))
}

/// The server in a line.
pub(crate) fn server(report: &PostgresReport) -> String {
    let Some(version) = &report.server_version else {
        return format!("PostgreSQL: {} never answered.", report.target);
    };
    let roles = report.roles.iter();
    let roles: Vec<String> = roles
        .map(|turn| format!("{} on timeline {}", turn.role.name(), known(turn.timeline)))
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

fn words(account: &Account, user: Option<&str>) -> Option<String> {
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
    let lag = |count: Option<i64>| known(count.map(bytes));
    format!(
        "  {label} {} {}, at most: {} not sent, {} not flushed, {} not replayed, reply {} old",
        list(&standby.states),
        list(&standby.sync_states),
        lag(standby.sent_lag_bytes_max),
        lag(standby.flush_lag_bytes_max),
        lag(standby.replay_lag_bytes_max),
        known_s(standby.reply_age_ms_max),
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
        let line = words(&account, Some("app")).unwrap();
        assert!(line.ends_with("0 reads, without role app's own"), "{line}");
        account.without_own_role = Some(false);
        let line = words(&account, Some("app")).unwrap();
        assert!(line.ends_with("0 reads"), "{line}");
    }
}
