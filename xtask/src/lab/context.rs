//! What an experiment acts on: the cluster, the time, and the notes of what was done.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Map, Value};

use super::cluster::Cluster;
use super::runner::Script;
use super::tracer::Tracer;
use crate::testbed::interrupt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lengths {
    pub(super) baseline: Duration,
    pub(super) fault: Duration,
    pub(super) recovery: Duration,
}

#[derive(Debug, Clone)]
pub(super) struct Note {
    pub(super) at: SystemTime,
    pub(super) text: String,
}

/// A run, while it lasts.
pub(super) struct RunContext<'a> {
    pub(super) cluster: Cluster,
    pub(super) script: &'a Script<'a>,
    pub(super) notes: Vec<Note>,
    /// What this experiment has measured beside what all do.
    pub(super) extra: Map<String, Value>,
    /// When counting began.
    pub(super) begun: Instant,
    started: Option<SystemTime>,
    ended: Option<SystemTime>,
}

impl<'a> RunContext<'a> {
    pub(super) fn new(cluster: Cluster, script: &'a Script<'a>) -> Self {
        Self {
            cluster,
            script,
            notes: Vec::new(),
            extra: Map::new(),
            begun: Instant::now(),
            started: None,
            ended: None,
        }
    }

    pub(super) fn note(&mut self, text: impl Into<String>) {
        let note = Note {
            at: SystemTime::now(),
            text: text.into(),
        };
        println!("           {}", note.text);
        self.notes.push(note);
    }

    /// Something that was measured, for the result.
    pub(super) fn measured(&mut self, name: &str, value: impl Serialize) -> Result<()> {
        let value = serde_json::to_value(value).with_context(|| format!("cannot write {name}"))?;
        self.extra.insert(name.to_owned(), value);
        Ok(())
    }

    /// Lets normal operation go on for as long as is planned.
    pub(super) fn baseline(&mut self, text: &str) -> Result<()> {
        self.note(text);
        pause_until(self.begun + self.script.lengths.baseline)
    }

    /// From now on, something is broken.
    pub(super) fn fault_begins(&mut self, text: impl Into<String>) {
        self.note(text);
        self.started = self.notes.last().map(|note| note.at);
    }

    /// Until the fault has lasted as long as is planned.
    pub(super) fn hold(&self) -> Result<()> {
        let begun = self.started.context("no fault has begun")?;
        let lasted = begun.elapsed().unwrap_or_default();
        pause(self.script.lengths.fault.saturating_sub(lasted))
    }

    /// From now on, nothing is broken any more.
    pub(super) fn fault_ends(&mut self, text: impl Into<String>) {
        self.note(text);
        self.ended = self.notes.last().map(|note| note.at);
    }

    /// Waits until the cluster is whole again, and then as long as is planned.
    pub(super) fn recover(&mut self) -> Result<()> {
        self.cluster.wait_healthy()?;
        self.note("the cluster is whole again: a standby streams and commits wait for it");
        pause(self.script.lengths.recovery)
    }

    pub(super) fn fault(&self) -> Option<(SystemTime, SystemTime)> {
        Some((self.started?, self.ended?))
    }

    /// Cuts a host off from everybody, with tracer.
    pub(super) fn cut_off(&self, host: &str) -> Result<Tracer> {
        Tracer::cut_off(self.script, &self.cluster, host)
    }
}

/// Waits as long as is planned: the length is the experiment's, and there is no condition
/// that it could end by. An interrupt does end it.
pub(super) fn pause(length: Duration) -> Result<()> {
    pause_until(Instant::now() + length)
}

fn pause_until(moment: Instant) -> Result<()> {
    loop {
        interrupt::check()?;
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        sleep(left.min(Duration::from_millis(100)));
    }
}
