//! The tests' executable, and its run under one kernel.

use std::ffi::OsString;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::cell::{self, Cell};
use crate::provision::repo;
use crate::task::vm::{self, Kernel};
use crate::testbed::command::{self, Running};
use crate::testbed::file;

/// What the names of the tests begin with.
const FILTER: &str = "run::kernels::";
/// Segments that a storm waits for in a guest, some ten times slower than this
/// machine.
const GUEST_SEGMENTS: &str = "1000";
/// Tests at a time: a storm keeps more than one processor busy.
const THREADS: &str = "2";
/// The same in a guest, where most of a test is waiting for timers.
const GUEST_THREADS: &str = "4";
const LIMIT: Duration = Duration::from_secs(900);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    Own,
    Guest(Kernel),
}

impl Machine {
    /// What its kernel is called in the table.
    pub(super) fn name(self) -> Result<String> {
        match self {
            Self::Own => own_release(),
            Self::Guest(kernel) => Ok(kernel.name.to_owned()),
        }
    }
}

#[derive(Default)]
pub(super) struct SuiteRun {
    /// As `uname -r` prints it.
    pub(super) release: String,
    pub(super) cells: Vec<Cell>,
    /// Why it is no success.
    pub(super) failure: Option<String>,
}

/// Where what they leave goes.
pub(super) fn folder() -> PathBuf {
    repo::target_dir().join("kernels")
}

/// Where all goes that the tests print.
pub(super) fn log(machine: Machine) -> Result<PathBuf> {
    Ok(folder().join(format!("{}.log", machine.name()?)))
}

pub(super) struct Suite {
    program: PathBuf,
}

impl Suite {
    pub(super) fn build() -> Result<Self> {
        let mut cargo = repo::cargo();
        cargo.args(["test", "--package", "tracer", "--test", "it", "--no-run"]);
        cargo.args(["--quiet", "--message-format", "json"]);
        let messages = command::output(&mut cargo)?;
        let program = messages.lines().find_map(|line| {
            let message: Value = serde_json::from_str(line).ok()?;
            let is_ours = message.pointer("/target/name")? == "it";
            let program = message.get("executable")?.as_str()?;
            is_ours.then(|| PathBuf::from(program))
        });
        let program = program.context("cargo does not say where it put the tests")?;
        Ok(Self { program })
    }

    pub(super) fn run(&self, machine: Machine, log: &Path) -> Result<SuiteRun> {
        let (release, status) = match machine {
            Machine::Own => (machine.name()?, self.run_here(log)?),
            Machine::Guest(kernel) => self.run_in_guest(kernel, log)?,
        };
        let output = file::read_text(log)?;
        let cells = cell::parse(&output);
        let failure = match (&cells, status) {
            (_, Some(0)) if !output.contains("test result: ok.") => {
                Some("no test has run".to_owned())
            }
            (Ok(_), Some(0)) => None,
            (Err(line), _) => Some(format!("a test says what cannot be understood: {line}")),
            (_, status) => Some(why(&output, status)),
        };
        Ok(SuiteRun {
            release,
            cells: cells.unwrap_or_default(),
            failure,
        })
    }

    fn arguments(threads: &'static str) -> [&'static str; 4] {
        [FILTER, "--nocapture", "--test-threads", threads]
    }

    fn run_here(&self, log: &Path) -> Result<Option<u8>> {
        let mut tests = Command::new(&self.program);
        tests.args(Self::arguments(THREADS));
        // Cargo and nextest run them where their package is.
        tests.current_dir(repo::root().join("tracer"));
        let tests = Running::start_logged(&mut tests, "the tests", log)?;
        let status = tests.wait(Some(LIMIT))?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()))
    }

    fn run_in_guest(&self, kernel: Kernel, log: &Path) -> Result<(String, Option<u8>)> {
        let mut words: Vec<OsString> = vec!["env".into()];
        words.push(format!("TRACER_TEST_SEGMENTS={GUEST_SEGMENTS}").into());
        words.push(self.program.clone().into());
        words.extend(Self::arguments(GUEST_THREADS).map(OsString::from));
        let mut log = BufWriter::new(file::create(log)?);
        vm::run_quietly(kernel, words, LIMIT, &mut log)
    }
}

/// The tests that failed, and how; or how far they came.
fn why(output: &str, status: Option<u8>) -> String {
    let failed: Vec<&str> = output
        .lines()
        .skip_while(|line| line.trim() != "failures:")
        .skip(1)
        .take_while(|line| !line.starts_with("test result"))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let mut panics = Vec::new();
    let mut lines = output.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("thread '") {
            panics.push(format!(
                "  {line}\n    {}",
                lines.next().unwrap_or_default()
            ));
        }
    }
    let status = status.map_or("no status".to_owned(), |status| format!("status {status}"));
    if failed.is_empty() {
        let last = file::tail(output, 5).replace('\n', "\n  ");
        return format!("{status}, after:\n  {last}");
    }
    format!("{} ({status})\n{}", failed.join(", "), panics.join("\n"))
}

fn own_release() -> Result<String> {
    let release = command::output(Command::new("uname").arg("-r"))?;
    let release = release.trim();
    ensure!(!release.is_empty(), "`uname -r` says nothing");
    Ok(release.to_owned())
}
