//! What is known of a server at this moment, for the live view.

use crate::recording::database::DatabaseRecord;
use crate::recording::roles::Known;
use crate::recording::standby::label;
use crate::render::table::{known, known_s};
use crate::report::sample::{Role, Sample, Standby};
use crate::text::{bytes, harmless, name};

/// More standbys than a screen shows.
const MOST_LINES: usize = 8;

/// The latest.
#[derive(Debug, Clone, Default)]
pub struct Status {
    state: State,
    /// What it says of connections.
    pub known: Known,
    version: Option<String>,
    /// Whose statements are in no count.
    exception: String,
    /// The commit probe's line.
    pub probe: Option<String>,
}

#[derive(Debug, Clone, Default)]
enum State {
    /// Nothing yet.
    #[default]
    Connecting,
    Seen(Box<Sample>),
    /// None since.
    Lost {
        since_ns: u64,
        reason: String,
    },
}

impl Status {
    /// After a sample.
    #[must_use]
    pub fn of(sample: &Sample, record: &DatabaseRecord) -> Self {
        Self::with(State::Seen(Box::new(sample.clone())), record)
    }

    /// While there is none.
    #[must_use]
    pub fn lost(since_ns: u64, reason: &str, record: &DatabaseRecord) -> Self {
        let reason = reason.to_owned();
        Self::with(State::Lost { since_ns, reason }, record)
    }

    fn with(state: State, record: &DatabaseRecord) -> Self {
        let user = record.greeting.as_ref().map(|one| one.user.as_str());
        let statements = record.statements.as_ref();
        let exception = statements.map(|account| account.exception(user));
        Self {
            state,
            known: record.known(),
            version: record.greeting.as_ref().map(|one| one.version.clone()),
            exception: exception.unwrap_or_default(),
            probe: None,
        }
    }

    /// The last sample; `None` if there is none now.
    #[must_use]
    pub fn sample(&self) -> Option<&Sample> {
        match &self.state {
            State::Seen(sample) => Some(sample),
            State::Connecting | State::Lost { .. } => None,
        }
    }

    /// Whether anything has been learnt: a sample, or that there is none.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !matches!(self.state, State::Connecting)
    }

    /// One line for the server, and one for each standby.
    #[must_use]
    pub fn lines(&self, now_ns: u64) -> Vec<String> {
        let mut lines = match &self.state {
            State::Connecting => vec!["PostgreSQL: connecting".to_owned()],
            State::Lost { since_ns, reason } => {
                let seconds = now_ns.saturating_sub(*since_ns) as f64 / 1e9;
                vec![format!(
                    "PostgreSQL: no sample for {seconds:.0} s: {reason}"
                )]
            }
            State::Seen(sample) => {
                let mut lines = vec![server(sample, self.version.as_deref(), &self.exception)];
                let standbys = sample.standbys.iter().zip(label::of_sample(sample));
                let shown = standbys.take(MOST_LINES);
                lines.extend(shown.map(|(one, label)| format!("  {}", standby(one, &label))));
                let more = sample.standbys.len().saturating_sub(MOST_LINES);
                if more > 0 {
                    lines.push(format!("  and {more} more standbys"));
                }
                lines
            }
        };
        lines.extend(self.probe.clone());
        lines
    }
}

fn server(sample: &Sample, version: Option<&str>, exception: &str) -> String {
    let version = version.and_then(|v| v.split(' ').next()).unwrap_or("?");
    let mut words = format!(
        "PostgreSQL {}: {}",
        harmless(version, 16),
        sample.role.name()
    );
    if let Some(timeline) = sample.timeline {
        words += &format!(", timeline {timeline}");
    }
    if let Some(rate) = sample.commits_per_s {
        words += &format!(", {rate:.0} commits/s");
    }
    match (sample.role, sample.sync_rep_waiters) {
        (Role::Primary, Some(waiting)) => {
            words += &format!(", {waiting} waiting for a standby");
        }
        (Role::Primary, None) if sample.untracked.is_some() => {
            words += ", waits not known (track_activities is off)";
        }
        (Role::Primary, None) => words += ", waits not visible to this role",
        (Role::Standby, _) => {}
    }
    if let Some(replay) = &sample.replay {
        words += &format!(", replay {} behind", known(replay.lag_bytes.map(bytes)));
        if replay.paused {
            words += " and paused";
        }
    }
    match (sample.role, &sample.receiver) {
        (Role::Standby, Some(receiver)) => {
            let host = receiver.sender_host.as_deref().unwrap_or("?");
            words += &format!(
                ", {} from {}",
                harmless(receiver.status.as_deref().unwrap_or("receiving"), 16),
                name(host)
            );
        }
        (Role::Standby, None) => words += ", receives nothing",
        (Role::Primary, _) => {}
    }
    if let Some(statements) = &sample.statements {
        let (writes, reads) = (&statements.writes, &statements.reads);
        let (writes, reads) = (writes.words("writes"), reads.words("reads"));
        words += &format!(", {writes}, {reads}{exception}");
    }
    if sample.role == Role::Primary && sample.synchronous_standby_names.as_deref() == Some("") {
        words += ", none is synchronous";
    }
    words
}

fn standby(standby: &Standby, label: &str) -> String {
    let word = |text: &Option<String>| known(text.as_deref().map(|text| harmless(text, 16)));
    let lag = |count: Option<i64>| known(count.map(bytes));
    format!(
        "{label} {} {}, lag: sent {}, flush {}, replay {}; reply {} ago",
        word(&standby.state),
        word(&standby.sync_state),
        lag(standby.sent_lag_bytes),
        lag(standby.flush_lag_bytes),
        lag(standby.replay_lag_bytes),
        known_s(standby.reply_age_ms),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::tests::{sample, standby};
    use crate::report::statements::{Account, Pace, Statements};

    fn seen(sample: &Sample) -> Vec<String> {
        Status::of(sample, &DatabaseRecord::new(String::new(), Vec::new(), 0)).lines(0)
    }

    #[test]
    fn a_primary_has_a_line_and_each_standby_one() {
        let sample = Sample {
            standbys: vec![standby("db2", 17)],
            sync_rep_waiters: Some(3),
            commits_per_s: Some(9.8),
            ..sample(Role::Primary)
        };
        assert_eq!(
            seen(&sample),
            [
                "PostgreSQL ?: primary, timeline 1, 10 commits/s, 3 waiting for a standby",
                "  db2 streaming sync, lag: sent 0 B, flush 200 B, replay 300 B; reply 0.1 s ago",
            ]
        );
    }

    #[test]
    fn where_our_own_role_is_left_out_the_numbers_say_so() {
        let pace = Pace {
            calls: 0,
            calls_per_s: 0.0,
            mean_ms: None,
        };
        let sample = Sample {
            statements: Some(Statements {
                writes: pace,
                reads: pace,
            }),
            ..sample(Role::Primary)
        };
        let mut record = DatabaseRecord::new(String::new(), Vec::new(), 0);
        record.statements = Some(Account {
            without_own_role: Some(true),
            ..Account::default()
        });
        let lines = Status::of(&sample, &record).lines(0);
        let words = "0 writes/s, 0 reads/s, without role ?'s own";
        assert!(lines[0].ends_with(words), "{lines:?}");
        assert!(seen(&sample)[0].ends_with("0 reads/s"));
    }

    #[test]
    fn a_hostile_name_stays_on_its_line() {
        let hostile = format!("\u{1b}]0;x\u{7}\n\"{}", "y".repeat(5000));
        let sample = Sample {
            standbys: vec![standby(&hostile, 17)],
            ..sample(Role::Primary)
        };
        let lines = seen(&sample);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].chars().all(|c| !c.is_control()) && lines[1].len() < 300);
    }

    #[test]
    fn many_standbys_do_not_fill_the_screen() {
        let sample = Sample {
            standbys: (0..50).map(|pid| standby("db", pid)).collect(),
            ..sample(Role::Primary)
        };
        assert_eq!(seen(&sample).len(), MOST_LINES + 2);
    }

    #[test]
    fn a_server_that_is_gone_says_since_when() {
        let record = DatabaseRecord::new(String::new(), Vec::new(), 0);
        let lines = Status::lost(2_000_000_000, "refused", &record).lines(5_000_000_000);
        assert_eq!(lines, ["PostgreSQL: no sample for 3 s: refused"]);
        assert!(!Status::default().is_settled());
    }
}
