//! Where and when a run takes place.

use std::time::Instant;

use anyhow::Context as _;
use tracer_core::clock::Clock;

use crate::command::log::start_log;
use crate::config::Verbosity;
use crate::kernel::{clock, descriptors, preflight, tick};

/// The clocks when the tool was started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    begun: Instant,
    clock: Clock,
    jiffy_ns: u64,
}

/// Where and when the run takes place.
#[derive(Debug)]
pub(crate) struct RunContext {
    /// Converts the kernel's moments to UTC.
    pub(crate) clock: Clock,
    /// Length of a jiffy, ns.
    pub(crate) jiffy_ns: u64,
    /// Release of the kernel.
    pub(crate) release: String,
    /// When the tool was started.
    pub(crate) begun: Instant,
}

impl Start {
    /// Reads the clocks, and starts the log.
    ///
    /// # Errors
    /// If the kernel does not say how its timers tick.
    pub(crate) fn now(verbosity: Verbosity) -> anyhow::Result<Self> {
        let begun = Instant::now();
        start_log(verbosity);
        Ok(Self {
            begun,
            clock: clock::read(),
            jiffy_ns: tick::jiffy_ns()
                .context("the kernel does not say how long its clock tick is")?,
        })
    }
}

impl RunContext {
    /// Makes sure that this process can trace here.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn check(start: Start) -> anyhow::Result<Self> {
        let Start {
            begun,
            clock,
            jiffy_ns,
        } = start;
        let release = preflight::check()?;
        descriptors::ensure(descriptors::RUN)?;
        Ok(Self {
            clock,
            jiffy_ns,
            release,
            begun,
        })
    }
}
