//! Showing a run that is under way to Prometheus.

use tracer_core::metrics::{Database, MOST_STANDBYS, STAGES, Standby};
use tracer_core::recording::roles::Known;
use tracer_core::recording::standby::label;
use tracer_core::report::sample::{self, Role};
use tracer_core::text;

use crate::app::Run;
use crate::events::EventWriter;
use crate::inject::Schedule;
use crate::postgres::{Commits, Watch};

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

/// Each name, place and state once, as Prometheus takes it. Whether one is synchronous
/// must not depend on another one of its name, and how far one is behind neither. Names
/// that are the same where they are cut off have the one whose last reply is oldest.
fn standbys(standbys: &[sample::Standby]) -> Vec<Standby> {
    let mut shown: Vec<Standby> = Vec::new();
    let all: Vec<_> = standbys.iter().map(label::Who::from).collect();
    for (standby, place) in standbys.iter().zip(label::places(&all)) {
        let lags = [
            standby.sent_lag_bytes,
            standby.write_lag_bytes,
            standby.flush_lag_bytes,
            standby.replay_lag_bytes,
        ];
        let word = |text: Option<&str>| text::harmless(text.unwrap_or("?"), LONGEST);
        let one = Standby {
            name: word(standby.name()),
            address: place.map(|place| text::harmless(&place, LONGEST)),
            sync_state: word(standby.sync_state.as_deref()),
            lags: STAGES
                .into_iter()
                .zip(lags)
                .filter_map(|(stage, lag)| Some((stage, lag?)))
                .collect(),
            reply_age_s: standby.reply_age_ms.map(|ms| ms / 1e3),
        };
        let same = |known: &Standby| {
            (&known.name, &known.address, &known.sync_state)
                == (&one.name, &one.address, &one.sync_state)
        };
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

    fn standby(name: &str, pid: u32) -> sample::Standby {
        sample::Standby {
            pid,
            application_name: Some(name.to_owned()),
            client_addr: Some("10.0.10.3".to_owned()),
            sync_state: Some("sync".to_owned()),
            ..sample::Standby::default()
        }
    }

    #[test]
    fn standbys_of_one_name_are_shown_beside_each_other() {
        let one = |address: &str, port, state: &str, reply_age_ms| sample::Standby {
            sync_state: Some(state.to_owned()),
            client_addr: Some(address.to_owned()),
            client_port: Some(port),
            reply_age_ms: Some(reply_age_ms),
            ..standby("walreceiver", u32::from(port))
        };
        let all = [
            one("10.0.10.3", 1, "sync", 10.0),
            one("10.0.10.4", 2, "potential", 500.0),
            one("10.0.10.5", 3, "potential", 900.0),
            one("10.0.10.5", 4, "potential", 700.0),
        ];
        let shown = standbys(&all);
        let told = shown.iter().map(|one| {
            let address = one.address.as_deref().unwrap_or("none");
            (address, one.sync_state.as_str(), one.reply_age_s)
        });
        let expected = [
            ("10.0.10.3", "sync", Some(0.01)),
            ("10.0.10.4", "potential", Some(0.5)),
            ("10.0.10.5:3", "potential", Some(0.9)),
            ("10.0.10.5:4", "potential", Some(0.7)),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn names_that_are_cut_off_alike_are_one_series() {
        let one = |last: &str, reply_age_ms| sample::Standby {
            reply_age_ms: Some(reply_age_ms),
            ..standby(&format!("{}{last}", "\u{1}".repeat(63)), 17)
        };
        let shown = standbys(&[one("a", 10.0), one("b", 500.0), one("c", 20.0)]);
        let ages: Vec<_> = shown.iter().map(|one| one.reply_age_s).collect();
        assert_eq!(ages, [Some(0.5)]);
    }
}
