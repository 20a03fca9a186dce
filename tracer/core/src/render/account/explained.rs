//! One slow commit, part by part.

use crate::merge::journey::{BeyondHost, of_commit};
use crate::merge::model::Merged;
use crate::render::account::{list, sum};
use crate::render::document::{Block, Document, Section};
use crate::render::table::milliseconds;
use crate::render::waterfall::{Waterfall, told_on_standby};
use crate::report::Report;
use crate::report::commits::{CommitsReport, ServerReport, SlowReport};
use crate::report::stages::{BAD_CHECKSUM, CommitEvent};
use crate::text::{counted, segments_were};

/// Which slow commits are to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// So many of the slowest.
    Slowest(usize),
    /// Those that waited for this position in the WAL, as PostgreSQL writes it.
    Lsn(String),
}

/// Some of a run's slow commits.
///
/// # Errors
/// If there are none of those, with what there is.
pub fn explained(report: &Report, which: &Which) -> Result<Document, String> {
    of_some(report, None, which)
}

/// The same of two reports that were merged: of the first that has any of those, with what the
/// other saw.
///
/// # Errors
/// If neither has any.
pub fn explained_of_both(merged: &Merged, which: &Which) -> Result<Document, String> {
    let [one, two] = &merged.reports;
    let first = of_some(one, Some(two), which);
    first.or_else(|refused| of_some(two, Some(one), which).map_err(|_| refused))
}

fn of_some(report: &Report, other: Option<&Report>, which: &Which) -> Result<Document, String> {
    let commits = report
        .commits
        .as_ref()
        .ok_or("the report has no commits: it was not made with --commits")?;
    let chosen: Vec<&SlowReport> = match which {
        Which::Slowest(count) => commits.slowest().into_iter().take(*count).collect(),
        Which::Lsn(lsn) => {
            let slow = commits.slow.iter();
            slow.filter(|one| one.lsn.eq_ignore_ascii_case(lsn))
                .collect()
        }
    };
    let Some(first) = chosen.first() else {
        return Err(none(commits, which));
    };
    let beyond = |one| other.and_then(|other| of_commit(report, other, one));
    let sections = chosen.iter().filter_map(|one| {
        let title = format!("WAL position {}", one.lsn);
        Section::of(&title, blocks(commits, one, beyond(one).as_ref()))
    });
    Ok(Document {
        title: "One commit, part by part".to_owned(),
        verdict: sentence(first, &waterfall(first, beyond(first).as_ref())),
        lead: Vec::new(),
        sections: sections.collect(),
    })
}

/// The slowest of all, if any commit was slow.
pub(super) fn slowest(report: &Report) -> Vec<Block> {
    slowest_of([(report, None, "")])
}

/// The slowest of all that either report has, with what the other saw of it.
pub(super) fn slowest_of_both(merged: &Merged) -> Vec<Block> {
    let [one, two] = &merged.reports;
    let [of_one, of_two] = [0, 1].map(|at| format!("{}: ", merged.hosts[at].label));
    slowest_of([
        (one, Some(two), of_one.as_str()),
        (two, Some(one), of_two.as_str()),
    ])
}

/// Of reports, each with that of the other host and with what stands before what it tells.
fn slowest_of<'a>(
    reports: impl IntoIterator<Item = (&'a Report, Option<&'a Report>, &'a str)>,
) -> Vec<Block> {
    let slowest = reports.into_iter().filter_map(|(report, other, label)| {
        let commits = report.commits.as_ref()?;
        let commit = commits.slowest().into_iter().next()?;
        Some((report, other, label, commits, commit))
    });
    let slowest = slowest.max_by(|(.., a), (.., b)| a.total_ms.total_cmp(&b.total_ms));
    let Some((report, other, label, commits, commit)) = slowest else {
        return Vec::new();
    };
    let beyond = other.and_then(|other| of_commit(report, other, commit));
    let beyond = beyond.as_ref();
    let sentence = sentence(commit, &waterfall(commit, beyond));
    let mut blocks = vec![Block::Text(format!("{label}{sentence}"))];
    blocks.extend(self::blocks(commits, commit, beyond));
    blocks
}

fn none(commits: &CommitsReport, which: &Which) -> String {
    match (which, commits.slow.len()) {
        (_, 0) => format!(
            "no commit took longer than {} (--slow-commit)",
            commits.slow_words()
        ),
        (Which::Lsn(lsn), slow) => format!(
            "none of the {slow} slow commits waited for {}; the slowest did for {}",
            crate::text::harmless(lsn, MAX_LSN),
            commits
                .slowest()
                .first()
                .map_or("?", |one| one.lsn.as_str())
        ),
        (Which::Slowest(_), _) => "no commit was asked for".to_owned(),
    }
}

/// As many are told of what happened on the standby's connection; the JSON has all.
const MAX_OUT_OF_PLACE: usize = 20;
/// As much of what was typed is quoted.
const MAX_LSN: usize = 40;

/// Through both hosts, if it was followed.
fn waterfall(commit: &SlowReport, beyond: Option<&BeyondHost>) -> Waterfall {
    beyond.map_or_else(
        || Waterfall::of(commit),
        |beyond| Waterfall::of_both(commit, beyond),
    )
}

/// What took most of it.
fn sentence(commit: &SlowReport, waterfall: &Waterfall) -> String {
    let bars = waterfall.bars.iter();
    let longest = bars.max_by(|a, b| a.took_ms.total_cmp(&b.took_ms));
    let longest = longest.filter(|_| commit.total_ms > 0.0);
    let most = longest.map_or_else(String::new, |bar| {
        let share = 100.0 * bar.took_ms / commit.total_ms;
        format!(", {share:.0} % of it: {}", bar.name)
    });
    format!(
        "The commit that waited for WAL position {} took {}{most}{}.",
        commit.lsn,
        milliseconds(Some(commit.total_ms)),
        meanwhile(&commit.events)
    )
}

/// What happened on the wire, counted.
fn meanwhile(events: &[CommitEvent]) -> String {
    let count = |is: &dyn Fn(&CommitEvent) -> bool| {
        let segments = events
            .iter()
            .filter(|one| is(one))
            .map(|one| u64::from(one.segments));
        sum(segments)
    };
    let corrupted = count(&|one| one.what == BAD_CHECKSUM);
    let again = count(&|one| one.what != BAD_CHECKSUM);
    let timeouts = count(&|one| one.timeout_ms.is_some());
    let mut parts = Vec::new();
    if corrupted > 0 {
        let what = counted(corrupted, "segment");
        parts.push(format!(
            "{what} from the standby arrived with a bad checksum"
        ));
    }
    if again > 0 {
        let what = segments_were(again);
        parts.push(match timeouts {
            0 => format!("{what} retransmitted to the standby"),
            _ => format!("{what} retransmitted to the standby, {timeouts} of them after a timeout"),
        });
    }
    match parts.is_empty() {
        true => String::new(),
        false => format!("; meanwhile {}", parts.join(", and ")),
    }
}

/// What happened on the standby's connection where it is not known when that was by the primary's
/// clock.
fn out_of_place(beyond: &BeyondHost) -> Vec<String> {
    if beyond.arrived_ms.is_some() {
        return Vec::new();
    }
    let events = beyond.events.iter().take(MAX_OUT_OF_PLACE).map(|one| {
        let after = milliseconds(Some(one.after_ms));
        format!(
            "{after} after its WAL had arrived, {}",
            told_on_standby(one)
        )
    });
    events.collect()
}

fn blocks(commits: &CommitsReport, commit: &SlowReport, beyond: Option<&BeyondHost>) -> Vec<Block> {
    let waterfall = waterfall(commit, beyond);
    let told = waterfall.told();
    let server = commits
        .servers
        .iter()
        .find(|one| one.pid == commit.server_pid);
    let mut blocks = vec![
        Block::Text(format!(
            "It began at {} ({:.3} s after counting began), in backend {}{}.",
            commit.start,
            commit.offset_s,
            commit.pid,
            server.map_or_else(String::new, of_server)
        )),
        Block::Waterfall(waterfall),
    ];
    if !told.is_empty() {
        blocks.push(Block::List(told));
    }
    let reason = server.and_then(|server| server.stages.reason.as_ref());
    if let Some(reason) = reason.filter(|_| commit.stages_ms.is_none()) {
        blocks.push(Block::Text(format!(
            "What the wait was made of is not known: {reason}."
        )));
    }
    let mut standbys = server.iter().flat_map(|server| &server.stages.standbys);
    let standby = standbys.find(|one| Some(one.walsender_pid) == commit.walsender_pid);
    if let Some(standby) = standby {
        blocks.push(Block::Text(format!(
            "The reply of the standby at {} ended its wait (walsender {}).",
            standby.remote, standby.walsender_pid
        )));
    }
    if commit.stages_ms.is_some() && commit.walsender_pid.is_none() {
        let nobody = "No reply of a standby was seen to end its wait.";
        blocks.push(Block::Text(nobody.to_owned()));
    }
    if let Some(beyond) = beyond {
        let told = &beyond.told;
        blocks.push(Block::Text(format!("Followed through both hosts: {told}.")));
        blocks.extend(list(&out_of_place(beyond)));
    }
    blocks
}

fn of_server(server: &ServerReport) -> String {
    let version = server.version.as_deref().unwrap_or("?");
    format!(" of PostgreSQL {version}, pid {}", server.pid)
}
