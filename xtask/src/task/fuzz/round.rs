//! One target's turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::build::FuzzPrograms;
use super::folder;
use crate::provision::repo;
use crate::testbed::command::{self, Running};
use crate::testbed::file;

/// The longest for one input, s: a parser that takes that long is a find. By the clock on the
/// wall, so that it has to be far more than an input waits for a processor.
const TIMEOUT_S: u64 = 60;
/// The most memory of a target's process, and of one allocation, MiB: what is read is
/// smaller by far.
const MEMORY_MIB: u64 = 1024;
const ALLOCATION_MIB: u64 = 256;
/// How much longer than asked for a target may take to end, s.
const GRACE_S: u64 = 120;
/// How much of a log is shown of a target that failed, lines.
const SHOWN: usize = 40;

/// How long a target is fuzzed: an option of libFuzzer, and until when it has to end.
#[derive(Debug, Clone)]
pub(super) struct Span(String, Option<Duration>);

impl Span {
    pub(super) fn runs(runs: u64) -> Self {
        Self(format!("-runs={runs}"), None)
    }

    pub(super) fn seconds(seconds: u64) -> Self {
        let limit = Duration::from_secs(seconds.saturating_add(GRACE_S));
        Self(format!("-max_total_time={seconds}"), Some(limit))
    }
}

#[derive(Debug)]
pub(super) struct Round<'a> {
    target: &'a str,
    program: PathBuf,
    /// Those in the repository.
    corpus: PathBuf,
    /// Those that were found here, from run to run.
    found: PathBuf,
    log: PathBuf,
    artifacts: PathBuf,
}

impl<'a> Round<'a> {
    pub(super) fn new(programs: &FuzzPrograms, target: &'a str) -> Result<Self> {
        let round = Self {
            target,
            program: programs.of(target),
            corpus: repo::root().join("tracer/fuzz/corpus").join(target),
            found: folder().join("found").join(target),
            log: folder().join(format!("{target}.log")),
            artifacts: folder().join("failed").join(target),
        };
        for folder in [&round.corpus, &round.found, &round.artifacts] {
            file::make_folder(folder)?;
        }
        Ok(round)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg(format!("-timeout={TIMEOUT_S}"))
            .arg(format!("-rss_limit_mb={MEMORY_MIB}"))
            .arg(format!("-malloc_limit_mb={ALLOCATION_MIB}"))
            .arg(format!("-artifact_prefix={}/", self.artifacts.display()));
        command
    }

    fn start(&self, command: &mut Command) -> Result<Running> {
        let name = command::line(command);
        Running::start_logged(command, &name, &self.log)
    }

    /// Fuzzes it and prints a line; returns what was found, if anything.
    pub(super) fn fuzz(&self, span: &Span) -> Result<Option<String>> {
        let mut command = self.command();
        let Span(option, limit) = span;
        command.arg(option);
        command.arg("-print_final_stats=1");
        let words = repo::root().join("tracer/fuzz/words").join(self.target);
        if words.exists() {
            command.arg(format!("-dict={}", words.display()));
        }
        command.arg(&self.found).arg(&self.corpus);
        let status = self.start(&mut command)?.wait(*limit)?;
        let log = file::read_text(&self.log)?;
        println!("{:<12} {}", self.target, summary(&log));
        if status.success() {
            return Ok(None);
        }
        Ok(Some(self.failure(&log)))
    }

    fn failure(&self, log: &str) -> String {
        let (target, folder) = (self.target, self.artifacts.display());
        format!(
            "{}\n{target} failed, see {}; the input is in {folder}. Put it into \
             tracer/fuzz/corpus/{target}/, and `cargo test --package fuzz` shows it",
            file::tail(log, SHOWN),
            self.log.display()
        )
    }

    /// Makes the repository's corpus anew: as few and as short inputs as reach the same as
    /// all of them and all that were found. Returns how many there were and are.
    pub(super) fn keep(&self) -> Result<(usize, usize)> {
        let fresh = tempfile::tempdir_in(folder())?;
        let mut command = self.command();
        command.arg("-set_cover_merge=1").arg(fresh.path());
        command.arg(&self.corpus).arg(&self.found);
        let status = self.start(&mut command)?.wait(None)?;
        if !status.success() {
            bail!("{}", self.failure(&file::read_text(&self.log)?));
        }
        let before = file::entries(&self.corpus)?;
        let after = file::entries(fresh.path())?;
        // What has a name of its own was put there by somebody, for a reason.
        let is_found = |path: &Path| path.file_name().is_some_and(|name| name.len() == 40);
        for path in before.iter().filter(|path| is_found(path)) {
            fs::remove_file(path)?;
        }
        for path in &after {
            if let Some(name) = path.file_name() {
                fs::copy(path, self.corpus.join(name))?;
            }
        }
        Ok((before.len(), file::entries(&self.corpus)?.len()))
    }
}

/// What libFuzzer's log says at its end, in a line.
fn summary(log: &str) -> String {
    let statistic = |name: &str| {
        let line = log.lines().rev().find_map(|line| {
            let rest = line.strip_prefix("stat::")?.strip_prefix(name)?;
            rest.strip_prefix(':')
        });
        line.map_or("?", str::trim)
    };
    // `#123	DONE   cov: 4 ft: 5 corp: 6/7b …`
    let reached = |name: &str| {
        let line = log.lines().rev().find(|line| line.contains(" cov: "));
        let mut words = line.unwrap_or_default().split_whitespace();
        words.find(|word| *word == name);
        words.next().unwrap_or("?")
    };
    format!(
        "{:>9} runs, {:>7} a second, {:>6} edges, {:>6} features, {:>4} MiB",
        statistic("number_of_executed_units"),
        statistic("average_exec_per_sec"),
        reached("cov:"),
        reached("ft:"),
        statistic("peak_rss_mb")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_at_its_end_is_a_line() {
        let log = "INFO: seed corpus: files: 7\n\
                   #8\tINITED cov: 10 ft: 12 corp: 5/99b exec/s: 0 rss: 40Mb\n\
                   #500\tDONE   cov: 75 ft: 130 corp: 9/120b lim: 4096 exec/s: 250 rss: 41Mb\n\
                   Done 500 runs in 2 second(s)\n\
                   stat::number_of_executed_units: 500\n\
                   stat::average_exec_per_sec:     250\n\
                   stat::new_units_added:          4\n\
                   stat::slowest_unit_time_sec:    0\n\
                   stat::peak_rss_mb:              41\n";
        assert_eq!(
            summary(log),
            "      500 runs,     250 a second,     75 edges,    130 features,   41 MiB"
        );
        assert_eq!(
            summary("no such program"),
            "        ? runs,       ? a second,      ? edges,      ? features,    ? MiB"
        );
    }
}
