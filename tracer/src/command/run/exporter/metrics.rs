//! What Prometheus is shown of a run.

use tracer_core::by_kind::{add, sum};
use tracer_core::metrics::{Database, Health, MOST_STANDBYS, Metrics, STAGES, StandbyMetrics};
use tracer_core::recording::roles::Known;
use tracer_core::recording::standby::label;
use tracer_core::report::sample::{self, Role, Sample};
use tracer_core::text;
use tracer_ebpf::{Gap, RetransmitKind};

use crate::command::run::session::Session;
use crate::kernel::clock::now_ns;
use crate::kernel::process;
use crate::postgres::latency_probe::Probed;

/// The longest that a label's value is.
const MAX_LABEL: usize = 63;

/// What the last sample found of the network, and what the kernel has counted by now.
pub(crate) fn of_network(session: &mut Session<'_>, known: &Known) -> anyhow::Result<Metrics> {
    session.expose(known);
    let mut metrics = Metrics::default();
    let (mut all, mut overflow) = ([0; RetransmitKind::COUNT], [0; RetransmitKind::COUNT]);
    let (mut retransmitted, mut bad_checksums) = (Some(0), Some(0));
    for traced in &mut session.namespaces {
        let (totals, kernel) = traced.now(&session.programs)?;
        add(&mut all, &totals.segments);
        add(&mut overflow, &totals.overflow_segments);
        metrics.bad_checksums += totals.selected_bad_checksums;
        metrics.resets_sent += totals.selected_resets_sent;
        metrics.resets_received += totals.selected_resets_received;
        let plus = |sum: Option<u64>, more: Option<u64>| Some(sum? + more?);
        retransmitted = plus(retransmitted, kernel.retrans_segs);
        bad_checksums = plus(bad_checksums, kernel.in_csum_errors);
    }
    metrics.sent = session.exposed.counters(&overflow);
    let kinds = RetransmitKind::ALL.into_iter().zip(all);
    metrics.all = kinds
        .map(|(kind, segments)| (kind.name(), segments))
        .collect();
    metrics.kernel_segments = retransmitted;
    // Both are far below 2⁶³.
    metrics.unexplained = retransmitted.map(|kernel| kernel.wrapping_sub(sum(&all)) as i64);
    metrics.kernel_bad_checksums = bad_checksums;
    metrics.health = health(session)?;
    Ok(metrics)
}

fn health(session: &Session<'_>) -> anyhow::Result<Health> {
    let gaps = session.programs.gaps()?;
    Ok(Health {
        uptime_s: now_ns().saturating_sub(session.start_ns) as f64 / 1e9,
        cpu_s: process::cpu().as_secs_f64(),
        lost_events: gaps.count(Gap::EventsLost),
        unwritten_events: 0,
        gaps: vec![
            gaps.count(Gap::FlowsFull),
            gaps.count(Gap::SocketsFull),
            gaps.count(Gap::NamespacesFull),
            gaps.count(Gap::ReadFailed),
            session.undecodable,
        ],
        flows: session.table.entries().count() as u64,
    })
}

/// What the last sample shows of the database, and what was measured at it.
pub(crate) fn of_database(last: Option<&Sample>, probed: Option<Probed>) -> Database {
    let mut database = last.map(database).unwrap_or_default();
    if let Some(probed) = probed {
        database.probe_commits = Some(probed.commits);
        database.probe_reads = Some(probed.reads);
        database.probe_undone = Some(probed.undone);
        database.probe_oldest_s = probed.oldest_s;
    }
    database
}

fn database(sample: &Sample) -> Database {
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
fn standbys(standbys: &[sample::Standby]) -> Vec<StandbyMetrics> {
    let mut shown: Vec<StandbyMetrics> = Vec::new();
    let all: Vec<_> = standbys.iter().map(label::Who::from).collect();
    for (standby, place) in standbys.iter().zip(label::places(&all)) {
        let lags = [
            standby.sent_lag_bytes,
            standby.write_lag_bytes,
            standby.flush_lag_bytes,
            standby.replay_lag_bytes,
        ];
        let lags = STAGES.into_iter().zip(lags);
        let word = |text: Option<&str>| text::harmless(text.unwrap_or("?"), MAX_LABEL);
        let one = StandbyMetrics {
            name: word(standby.name()),
            address: place.map(|place| text::harmless(&place, MAX_LABEL)),
            sync_state: word(standby.sync_state.as_deref()),
            lags: lags
                .filter_map(|(stage, lag)| Some((stage, lag?)))
                .collect(),
            reply_age_s: standby.reply_age_ms.map(|ms| ms / 1e3),
        };
        let same = |known: &StandbyMetrics| {
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
