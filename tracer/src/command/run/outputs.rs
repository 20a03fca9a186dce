//! Where everything of a run goes that is not the live view, and how it gets there at the
//! end.

use std::time::Duration;

use anyhow::Context as _;
use tracer_core::render;
use tracer_core::report::Report;

use crate::command::run::exporter::ListenSocket;
use crate::command::run::live::Live;
use crate::command::signals;
use crate::config::Config;
use crate::files::{MAX_PATIENCE, Output, ReadyFile};
use crate::programs::event_file::{EventFile, MissingEvents};
use crate::terminal;

/// How long the end waits for a reader who takes nothing, of what is also elsewhere.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was asked for, open.
pub(crate) struct Outputs {
    pub(crate) json: Option<Output>,
    pub(crate) events: Option<EventFile>,
    pub(crate) ready: Option<ReadyFile>,
    pub(crate) listen: Option<ListenSocket>,
}

/// What is left of a run.
pub(crate) struct Finished {
    /// What it measured.
    pub(crate) report: Report,
    /// The live view, which the summary takes the place of.
    pub(crate) live: Live,
    /// Events that are not in their file.
    pub(crate) missing_events: Option<MissingEvents>,
}

impl Outputs {
    /// Opens everything.
    pub(crate) fn open(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            json: Output::asked("--json", config.json.as_deref())?,
            events: config
                .events
                .as_deref()
                .map(EventFile::create)
                .transpose()?,
            ready: ReadyFile::asked(config.ready_file.as_deref())?,
            listen: config.listen.map(ListenSocket::bind).transpose()?,
        })
    }

    /// Whether the live view has to go elsewhere.
    pub(crate) fn take_stdout(&self) -> bool {
        self.json.as_ref().is_some_and(Output::is_stdout)
            || self.events.as_ref().is_some_and(EventFile::is_stdout)
    }

    /// Writes the report and shows the summary.
    ///
    /// # Errors
    /// The first of what went wrong, be it while the run was `followed`; all others are
    /// said.
    pub(crate) fn conclude(
        self,
        finished: Finished,
        followed: anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Finished {
            report,
            live,
            missing_events,
        } = finished;
        drop(self.ready);
        let mut errors = Vec::new();
        let mut keep = |error: Option<anyhow::Error>| errors.extend(error);
        keep(followed.err());
        // The report before anything is said: a closed terminal must not cost it.
        let safe = self.json.as_ref().is_some_and(|json| !json.is_stream());
        if self.json.as_ref().is_some_and(Output::is_stream) {
            signals::surrender();
        }
        if let Some(json) = self.json {
            keep(write(json, &report).err());
        }
        keep(missing_events.map(Into::into));
        signals::surrender();
        let patience = if safe { PATIENCE } else { MAX_PATIENCE };
        let summary = |width| render::text::render(&report, width);
        let shown = live.conclude(summary, Some(patience));
        keep(shown.context("cannot show the summary").err());
        first(errors)
    }
}

fn write(json: Output, report: &Report) -> anyhow::Result<()> {
    Ok(json.finish(&render::json::render(report)?, Some(MAX_PATIENCE))?)
}

/// The first error, after all others are said.
fn first(errors: Vec<anyhow::Error>) -> anyhow::Result<()> {
    let mut errors = errors.into_iter();
    let first = errors.next();
    for error in errors {
        terminal::say_error(&error);
    }
    first.map_or(Ok(()), Err)
}
