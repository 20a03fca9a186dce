//! On what it was measured.

use std::fs;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result};
use jiff::Timestamp;

use crate::lab::provenance;
use crate::testbed::command;

#[derive(Debug, Clone)]
pub(super) struct TestMachine {
    /// UTC.
    pub(super) day: String,
    pub(super) commit: String,
    /// As `uname -r` prints it.
    pub(super) kernel: String,
    /// How many, and of which model.
    pub(super) processors: String,
    /// How many processes wanted a processor, on the average of a minute.
    pub(super) load: String,
}

impl TestMachine {
    /// This one, before anything is measured on it.
    pub(super) fn read() -> Result<Self> {
        let kernel = command::output(Command::new("uname").arg("-r"))?;
        let load = fs::read_to_string("/proc/loadavg").context("cannot read the load")?;
        let cpus = fs::read_to_string("/proc/cpuinfo").context("cannot read the processors")?;
        let model = cpus
            .lines()
            .find_map(|line| line.strip_prefix("model name"));
        let model = model.map_or("unknown model", |model| {
            model.trim_start_matches([' ', '\t', ':'])
        });
        Ok(Self {
            day: Timestamp::now().strftime("%Y-%m-%d").to_string(),
            commit: provenance::commit(),
            kernel: kernel.trim().to_owned(),
            processors: format!("{} × {model}", thread::available_parallelism()?),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_one() {
        let machine = TestMachine::read().unwrap();
        assert!(machine.processors.contains(" × "));
        assert!(machine.load.parse::<f64>().unwrap() >= 0.0);
        assert!(!machine.kernel.is_empty() && machine.day.starts_with("20"));
    }
}
