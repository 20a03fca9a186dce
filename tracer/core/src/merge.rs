//! One run seen from both hosts, flows joined end to end.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod agreement;
pub mod clock;
pub mod connection;
mod exchange;
mod joint;
pub mod journey;
mod lost_ways;
pub mod model;
mod owner;
mod replay;
mod replication;
mod silence;
mod waited;

use jiff::Timestamp;

use crate::harmless;
use crate::merge::clock::{ClockMethod, Offset};
use crate::merge::connection::Connection;
use crate::merge::joint::Sides;
use crate::merge::model::{Merged, MergedHost, Windows};
use crate::merge::replication::same_boot;
use crate::report::possible::LONGEST_S;
use crate::report::{Report, Tool, Window};

pub use crate::merge::model::SCHEMA;

/// Why two reports cannot be one.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// The same place twice.
    #[error(
        "both reports are of the same network namespace of {}: what is merged has to be seen from two sides",
        harmless::line(.0)
    )]
    OneSide(String),
    /// The same run twice.
    #[error("both reports are of one run: what is merged has to be seen from two sides")]
    OneRun,
    /// A time that is none.
    #[error("a report has `{}` where a time should be", harmless::line(.0))]
    Time(String),
    /// Times between which no run can lie.
    #[error(
        "the times in the two reports are more than a century apart: a clock was wrong when one of them was written"
    )]
    Apart,
}

/// Two reports as one; `names` tell them apart if their hosts do not.
///
/// # Errors
/// If they are of one side, or broken.
pub fn merge(reports: [Report; 2], names: [&str; 2]) -> Result<Merged, MergeError> {
    let [one, two] = &reports;
    if same_boot(one, two) && one.host.netns.is_some() && one.host.netns == two.host.netns {
        return Err(MergeError::OneSide(one.host.name.clone()));
    }
    // Where the host is not known, as of a recording, nothing else shows that it is one.
    if one.clock.monotonic_ns == two.clock.monotonic_ns && one.window == two.window {
        return Err(MergeError::OneRun);
    }
    let labels = labels(&reports, names);
    let (connections, one_sided) = connection::join(&reports);
    let offset = clock::offset(&reports, &connections)?;
    let windows = windows(&reports, &offset)?;
    let apart_s = windows
        .0
        .united
        .duration_s
        .max(offset.applied_ms.abs() / 1e3);
    if apart_s > LONGEST_S {
        return Err(MergeError::Apart);
    }
    let joint = joint::joint(&Sides {
        reports: &reports,
        labels: &labels,
        starts_s: windows.1,
        clock: &offset,
        overlap: windows.0.common.is_some(),
    });
    let mut warnings = own_warnings(&connections, &offset, &windows);
    for (report, label) in reports.iter().zip(&labels) {
        let unlisted = report.unlisted_count();
        if unlisted > 0 {
            warnings.push(format!(
                "{label}: {unlisted} flows are not listed in its report, and are joined with none of the other's"
            ));
        }
        let own = report.warnings.iter();
        warnings.extend(own.map(|warning| format!("{label}: {warning}")));
    }
    let host = |report: &Report, label: &String, starts_s: f64| MergedHost {
        label: label.clone(),
        name: report.host.name.clone(),
        boot_id: report.host.boot_id.clone(),
        netns: report.host.netns,
        starts_s,
        duration_s: report.window.duration_s,
        segments: report.selected.segments,
        arrived_damaged: report.checksum_errors.selected,
    };
    let hosts = [
        host(one, &labels[0], windows.1[0]),
        host(two, &labels[1], windows.1[1]),
    ];
    Ok(Merged {
        schema: SCHEMA.into(),
        tool: Tool::this(),
        hosts,
        clock: offset,
        window: windows.0,
        findings: joint.findings,
        unwaited: joint.unwaited,
        journeys: joint.journeys,
        connections,
        one_sided,
        warnings,
        reports,
    })
}

/// What to call the hosts: two namespaces of one machine have one name.
fn labels(reports: &[Report; 2], names: [&str; 2]) -> [String; 2] {
    let [one, two] = reports;
    if one.host.name != two.host.name && !one.host.name.is_empty() && !two.host.name.is_empty() {
        return [one.host.name.clone(), two.host.name.clone()];
    }
    match names {
        [one, two] if one == two => [format!("{one} (1)"), format!("{two} (2)")],
        names => names.map(str::to_owned),
    }
}

/// A moment as a report writes it, s since 1970.
fn seconds(time: &str) -> Result<f64, MergeError> {
    let moment: Timestamp = time
        .parse()
        .map_err(|_| MergeError::Time(time.to_owned()))?;
    Ok(moment.as_nanosecond() as f64 / 1e9)
}

fn time(seconds: f64) -> String {
    // What was read as a time can be written as one.
    Timestamp::from_nanosecond((seconds * 1e9) as i128)
        .map_or_else(|_| String::new(), |moment| format!("{moment:.6}"))
}

/// Both windows on the first host's clock, and from the earlier start to each start.
fn windows(reports: &[Report; 2], offset: &Offset) -> Result<(Windows, [f64; 2]), MergeError> {
    let shift = [0.0, offset.applied_ms / 1e3];
    let mut starts = [0.0; 2];
    for ((start, report), shift) in starts.iter_mut().zip(reports).zip(shift) {
        *start = seconds(&report.window.start)? - shift;
    }
    let ends = [
        starts[0] + reports[0].window.duration_s,
        starts[1] + reports[1].window.duration_s,
    ];
    let window = |from: f64, to: f64| Window {
        start: time(from),
        end: time(to),
        duration_s: to - from,
    };
    let first = starts[0].min(starts[1]);
    let (from, to) = (starts[0].max(starts[1]), ends[0].min(ends[1]));
    Ok((
        Windows {
            united: window(first, ends[0].max(ends[1])),
            common: (from < to).then(|| window(from, to)),
        },
        starts.map(|start| start - first),
    ))
}

fn own_warnings(
    connections: &[Connection],
    offset: &Offset,
    windows: &(Windows, [f64; 2]),
) -> Vec<String> {
    let mut warnings = Vec::new();
    if connections.is_empty() {
        warnings.push(
            "no connection was seen from both sides: the reports may be of other hosts, of other peers, or something between them may change addresses".to_owned(),
        );
    }
    if offset.method == ClockMethod::NotKnown {
        warnings.push(
            "by how much the clocks of the hosts differ is not known: times are taken as each host wrote them".to_owned(),
        );
    }
    if windows.0.common.is_none() {
        warnings.push("the two runs do not overlap: they are not one".to_owned());
    }
    warnings
}

#[cfg(test)]
mod tests;
