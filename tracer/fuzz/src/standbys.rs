//! `synchronous_standby_names`, and whom commits wait for by it.

use tracer_core::awaited::awaited;
use tracer_core::awaited::names::{Method, StandbyNames};
use tracer_core::report::sample::{Role, Sample, Standby};

/// As many standbys stream as the first byte says.
const MAX_STANDBYS: u8 = 8;

/// The first byte says how many of the listed standbys stream and how far each is, the
/// others are the setting.
///
/// What is read, written with quotes and read again is the same; who holds commits streams,
/// and nobody does where too few stream.
pub fn target(data: &[u8]) {
    let Some((first, setting)) = data.split_first() else {
        return;
    };
    let Ok(setting) = std::str::from_utf8(setting) else {
        return;
    };
    let Some(names) = StandbyNames::parse(setting) else {
        return;
    };
    assert!(names.needed > 0 && !names.listed.is_empty());
    let method = match names.method {
        Method::First => "FIRST",
        Method::Any => "ANY",
    };
    // A `*` in quotes is any name as well.
    let quoted = names
        .listed
        .iter()
        .map(|name| format!("\"{}\"", name.replace('"', "\"\"")));
    let quoted: Vec<String> = quoted.collect();
    let again = format!("{method} {} ({})", names.needed, quoted.join(", "));
    assert_eq!(
        StandbyNames::parse(&again).as_ref(),
        Some(&names),
        "{again}"
    );
    for (place, name) in names.listed.iter().enumerate() {
        assert!(names.place(name).is_some_and(|found| found <= place));
    }

    let count = usize::from(first % MAX_STANDBYS);
    let sample = sample(setting, names.listed.iter().take(count), *first);
    let awaited = awaited(&sample).expect("commits wait for somebody");
    assert!(awaited.holding.len() <= sample.standbys.len());
    assert_eq!(
        awaited.lacking,
        names.needed.saturating_sub(sample.standbys.len())
    );
    assert_eq!(awaited.holding.is_empty(), awaited.lacking > 0);
}

fn sample<'a>(setting: &str, names: impl Iterator<Item = &'a String>, seed: u8) -> Sample {
    let standby = |(number, name): (usize, &String)| {
        let lag = i64::from(seed).wrapping_mul(i64::try_from(number).unwrap_or(0)) % 7 - 1;
        Standby {
            pid: u32::try_from(number).unwrap_or(0),
            application_name: Some(name.clone()),
            client_addr: None,
            client_port: None,
            state: Some("streaming".into()),
            sync_state: Some("sync".into()),
            sent_lag_bytes: None,
            write_lag_bytes: (seed & 8 != 0).then_some(lag),
            flush_lag_bytes: (seed & 16 != 0).then_some(lag),
            replay_lag_bytes: (seed & 32 != 0).then_some(lag),
            write_lag_ms: None,
            flush_lag_ms: None,
            replay_lag_ms: None,
            reply_age_ms: None,
            reply_sent_us: None,
        }
    };
    Sample {
        at_ns: 0,
        took_ms: 0.0,
        role: Role::Primary,
        timeline: None,
        wal_lsn: None,
        synchronous_standby_names: Some(setting.to_owned()),
        synchronous_commit: (seed & 64 != 0).then(|| "on".into()),
        xact_commit: None,
        commits_per_s: None,
        statement_sums: None,
        statements: None,
        active: None,
        untracked: None,
        sync_rep_waiters: None,
        sync_rep_longest_ms: None,
        waits: None,
        standbys: names.enumerate().map(standby).collect(),
        slots: Vec::new(),
        receiver: None,
        replay: None,
    }
}
