//! What became of each standby over a run.

pub mod label;
pub(crate) mod tracker;

use crate::recording::standby::label::Who;
use crate::recording::standby::tracker::Tracker;
use crate::report::sample::Standby;
use crate::report::standby::StandbyReport;

/// More connections of one standby than anybody reads of.
const MOST_PIDS: usize = 256;

/// All standbys over a run.
#[derive(Debug, Default)]
pub struct Standbys {
    tracker: Tracker,
    summaries: Vec<StandbyReport>,
}

impl Standbys {
    /// Adds what one sample shows of all of them.
    pub(crate) fn add(&mut self, standbys: &[Standby]) {
        self.tracker.each(standbys, &mut self.summaries, add);
    }

    pub(crate) fn into_summaries(self) -> Vec<StandbyReport> {
        self.summaries
    }
}

impl<'a> From<&'a StandbyReport> for Who<'a> {
    fn from(one: &'a StandbyReport) -> Self {
        Self {
            name: one.name.as_deref(),
            address: one.addresses.first().map(String::as_str),
            port: one.port,
            pid: one.pids.last().copied(),
        }
    }
}

pub(crate) fn labels(summaries: &[StandbyReport]) -> Vec<String> {
    let all: Vec<_> = summaries.iter().map(Who::from).collect();
    label::labels(&all)
}

fn add(summary: &mut StandbyReport, standby: &Standby) {
    summary.name = standby.name().map(str::to_owned);
    summary.port = standby.client_port;
    summary.samples += 1;
    summary.addresses.extend(standby.client_addr.clone());
    if summary.pids.len() < MOST_PIDS {
        summary.pids.insert(standby.pid);
    }
    summary.states.extend(standby.state.clone());
    summary.sync_states.extend(standby.sync_state.clone());
    grow(&mut summary.sent_lag_bytes_max, standby.sent_lag_bytes);
    grow(&mut summary.flush_lag_bytes_max, standby.flush_lag_bytes);
    grow(&mut summary.replay_lag_bytes_max, standby.replay_lag_bytes);
    grow(&mut summary.flush_lag_ms_max, standby.flush_lag_ms);
    grow(&mut summary.reply_age_ms_max, standby.reply_age_ms);
    if let Some(lag) = standby.flush_lag_bytes {
        let least = summary.flush_lag_bytes_min.get_or_insert(lag);
        *least = lag.min(*least);
    }
}

fn grow<T: PartialOrd + Copy>(largest: &mut Option<T>, value: Option<T>) {
    if let Some(value) = value
        && largest.is_none_or(|largest| value > largest)
    {
        *largest = Some(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::tests::standby;

    #[test]
    fn a_standby_is_summed_up_over_its_connections() {
        let mut standbys = Standbys::default();
        standbys.add(&[standby("db2", 17), standby("db3", 19)]);
        standbys.add(&[Standby {
            flush_lag_bytes: Some(-5),
            reply_age_ms: None,
            reply_sent_us: None,
            sync_state: Some("async".into()),
            client_port: Some(40_400),
            ..standby("db2", 18)
        }]);
        let summaries = standbys.into_summaries();
        assert_eq!(summaries.len(), 2);
        let db2 = &summaries[0];
        assert_eq!(
            (db2.samples, db2.pids.len(), db2.sync_states.len()),
            (2, 2, 2)
        );
        assert_eq!(db2.port, Some(40_400));
        assert_eq!(db2.flush_lag_bytes_max, Some(200));
        assert_eq!(db2.flush_lag_bytes_min, Some(-5));
        assert_eq!(db2.reply_age_ms_max, Some(50.0));
        assert_eq!(labels(&summaries), ["db2", "db3"]);
    }

    #[test]
    fn two_of_one_name_are_two_and_say_where_they_are() {
        let mut standbys = Standbys::default();
        let other = |flush| Standby {
            client_addr: Some("10.0.10.4".into()),
            flush_lag_bytes: Some(flush),
            ..standby("walreceiver", 18)
        };
        for flush in [0, 4_000] {
            standbys.add(&[standby("walreceiver", 17), other(flush)]);
        }
        let summaries = standbys.into_summaries();
        let lags: Vec<_> = summaries
            .iter()
            .map(|one| one.flush_lag_bytes_max)
            .collect();
        assert_eq!(lags, [Some(200), Some(4_000)]);
        assert_eq!(
            labels(&summaries),
            ["walreceiver (10.0.10.3)", "walreceiver (10.0.10.4)"]
        );
    }
}
