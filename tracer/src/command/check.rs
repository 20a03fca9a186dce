//! `tracer check`, from top to bottom: what this kernel and this user can do,
//! what each gap costs, and what to do about it.
//!
//! Each file of [`self`] finds out about one thing and makes rows of it. What can
//! only be known by trying is tried: the programs are loaded and attached as a run
//! does it, and detached again; what concerns interfaces is tried in a network
//! namespace of our own. What could not be found out is neither yes nor no.

mod capabilities;
mod fault;
mod interface;
mod kernel;
mod postgres;
mod programs;
mod report;
mod row;
mod shortfall;
mod text;

use anyhow::Context;

use crate::cli::CheckArguments;
use crate::command::check::report::Report;
use crate::config::ConfigError;
use crate::files;
use crate::inject::Peer;
use crate::kernel::{offsets, version};

/// What was asked, validated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// Whose route leads to the interface to look at.
    peer: Option<Peer>,
    /// The interface to look at.
    interface: Option<String>,
    /// Where the interface is; `None` for the caller's namespace.
    netns: Option<String>,
    /// Whether a program reads the answer.
    json: bool,
}

impl Question {
    /// Validates a command line.
    ///
    /// # Errors
    /// If the peer is neither an address nor a CIDR.
    pub(crate) fn from_arguments(arguments: &CheckArguments) -> Result<Self, ConfigError> {
        Ok(Self {
            peer: arguments.peer.as_deref().map(str::parse).transpose()?,
            interface: arguments.interface.clone(),
            netns: arguments.netns.clone(),
            json: arguments.json,
        })
    }
}

/// Finds everything out and prints it; whether `tracer run` can work.
///
/// # Errors
/// If the answer cannot be printed.
pub(crate) fn run(question: &Question) -> anyhow::Result<bool> {
    let release = version::release();
    let resolved = offsets::from_running_kernel();
    let held = capabilities::HeldCapabilities::by_this_thread();

    let mut rows = kernel::rows(&release, &resolved);
    rows.extend(capabilities::rows(held));
    rows.extend(programs::rows(held, resolved.as_ref().ok()));
    rows.extend(fault::rows(held, release.as_deref().ok()));
    rows.extend(interface::rows(question));
    rows.extend(postgres::rows());
    rows.extend(kernel::tools());

    let report = Report::new(release.unwrap_or_default(), rows);
    let text = match question.json {
        true => {
            let mut json = serde_json::to_string_pretty(&report)
                .context("the answer cannot be written as JSON")?;
            json.push('\n');
            tracer_core::harmless::json(&json).into_owned()
        }
        false => text::render(&report),
    };
    files::print(&text).context("the answer cannot be written to standard output")?;
    Ok(report.can_run == Some(true))
}
