//! Showing a run that is under way to Prometheus.

use super::Run;
use crate::events::EventWriter;
use crate::inject::Schedule;
use crate::metrics::{Database, MOST_STANDBYS, STAGES, Standby};
use crate::postgres::sample::{self, Role};
use crate::postgres::{Commits, Known, Watch, text};

/// The longest that a label's value is.
const LONGEST: usize = 63;

impl Run<'_> {
    /// Shows the last look, if anybody is to see it.
    pub(super) fn expose(&mut self) -> anyhow::Result<()> {
        let Some(endpoint) = &self.endpoint else {
            return Ok(());
        };
        let status = self.postgres.as_ref().map(Watch::status);
        let nothing = Known::default();
        let known = status.as_ref().map_or(&nothing, |status| &status.known);
        let mut metrics = self.session.metrics(known)?;
        let unwritten = self.events.as_ref().map(EventWriter::unwritten);
        metrics.health.unwritten_events = unwritten.unwrap_or_default();
        metrics.fault_active = self.fault.as_ref().map(Schedule::is_active);
        if let (Some(watch), Some(status)) = (&self.postgres, &status) {
            let mut database = status.sample().map(database).unwrap_or_default();
            if let Some(probed) = watch.probed() {
                database.probe_commits = Some(probed.commits);
                database.probe_reads = Some(probed.reads);
                database.probe_undone = Some(probed.undone);
                database.probe_oldest_s = probed.oldest_s;
            }
            metrics.database = Some(database);
        }
        if let Some(commits) = &mut self.commits {
            metrics.commits = Commits::spreads(commits);
            metrics.health.gaps.push(commits.not_counted());
        }
        endpoint.show(metrics);
        Ok(())
    }
}

/// What the last sample shows.
fn database(sample: &sample::Sample) -> Database {
    Database {
        up: true,
        sync_rep_waiters: sample.sync_rep_waiters,
        sync_rep_longest_s: sample.sync_rep_longest_ms.map(|ms| ms / 1e3),
        primary: Some(sample.role == Role::Primary),
        standbys: standbys(&sample.standbys),
        ..Database::default()
    }
}

/// Each name and state once, as Prometheus takes it: of several connections that have
/// both in common, the one whose last reply is oldest. Whether one is synchronous must
/// not depend on another one of its name.
fn standbys(standbys: &[sample::Standby]) -> Vec<Standby> {
    let mut shown: Vec<Standby> = Vec::new();
    for standby in standbys {
        let lags = [
            standby.sent_lag_bytes,
            standby.write_lag_bytes,
            standby.flush_lag_bytes,
            standby.replay_lag_bytes,
        ];
        let word = |text: Option<&str>| text::harmless(text.unwrap_or("?"), LONGEST);
        let one = Standby {
            name: word(standby.name()),
            sync_state: word(standby.sync_state.as_deref()),
            lags: STAGES
                .into_iter()
                .zip(lags)
                .filter_map(|(stage, lag)| Some((stage, lag?)))
                .collect(),
            reply_age_s: standby.reply_age_ms.map(|ms| ms / 1e3),
        };
        let same =
            |known: &Standby| (&known.name, &known.sync_state) == (&one.name, &one.sync_state);
        match shown.iter().position(same) {
            Some(at) if shown[at].reply_age_s < one.reply_age_s => shown[at] = one,
            None if shown.len() < MOST_STANDBYS => shown.push(one),
            _ => {}
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::sample::tests::standby;

    #[test]
    fn a_standby_that_is_synchronous_is_shown_beside_another_one_of_its_name() {
        let one = |state: &str, reply_age_ms| sample::Standby {
            sync_state: Some(state.to_owned()),
            reply_age_ms: Some(reply_age_ms),
            ..standby("walreceiver", 17)
        };
        let all = [
            one("sync", 10.0),
            one("potential", 500.0),
            one("potential", 900.0),
        ];
        let shown = standbys(&all);
        let told = shown
            .iter()
            .map(|one| (one.sync_state.as_str(), one.reply_age_s));
        let expected = [("sync", Some(0.01)), ("potential", Some(0.9))];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}
