//! What became of each standby over a run.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::sample::Standby;

/// More standbys than a primary has; later names are not summed up.
const MOST: usize = 256;

/// One standby over a run: connections of one name are one standby.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// `application_name`, or the address; `null` if we may not see either.
    pub name: Option<String>,
    /// Addresses that it came from.
    pub addresses: BTreeSet<String>,
    /// Walsenders that served it, one a connection.
    pub pids: BTreeSet<u32>,
    /// States that were seen, such as `streaming`.
    pub states: BTreeSet<String>,
    /// Likewise, such as `sync`.
    pub sync_states: BTreeSet<String>,
    /// Samples that showed it.
    pub samples: u64,
    /// The largest lag in bytes, of what was sent.
    pub sent_lag_bytes_max: Option<i64>,
    /// Of what it has flushed.
    pub flush_lag_bytes_max: Option<i64>,
    /// Of what it has replayed.
    pub replay_lag_bytes_max: Option<i64>,
    /// Below zero, the standby has claimed log that its primary never wrote: from
    /// then on commits may not wait for it.
    pub flush_lag_bytes_min: Option<i64>,
    /// The largest delay of a flush that was confirmed.
    pub flush_lag_ms_max: Option<f64>,
    /// The largest age of a reply.
    pub reply_age_ms_max: Option<f64>,
}

/// Adds what one sample shows of a standby.
pub fn add(summaries: &mut Vec<Summary>, standby: &Standby) {
    let name = standby.name();
    let found = summaries.iter().position(|one| one.name.as_deref() == name);
    let index = match found {
        Some(index) => index,
        None if summaries.len() >= MOST => return,
        None => {
            summaries.push(Summary {
                name: name.map(str::to_owned),
                ..Summary::default()
            });
            summaries.len() - 1
        }
    };
    let summary = &mut summaries[index];
    summary.samples += 1;
    summary.addresses.extend(standby.client_addr.clone());
    if summary.pids.len() < MOST {
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
    use super::super::sample::tests::standby;
    use super::*;

    #[test]
    fn connections_of_one_name_are_one_standby() {
        let mut summaries = Vec::new();
        add(&mut summaries, &standby("db2", 17));
        add(
            &mut summaries,
            &Standby {
                flush_lag_bytes: Some(-5),
                reply_age_ms: None,
                sync_state: Some("async".into()),
                ..standby("db2", 18)
            },
        );
        add(&mut summaries, &standby("db3", 19));
        assert_eq!(summaries.len(), 2);
        let db2 = &summaries[0];
        assert_eq!(
            (db2.samples, db2.pids.len(), db2.sync_states.len()),
            (2, 2, 2)
        );
        assert_eq!(db2.flush_lag_bytes_max, Some(200));
        assert_eq!(db2.flush_lag_bytes_min, Some(-5));
        assert_eq!(db2.reply_age_ms_max, Some(50.0));
    }
}
