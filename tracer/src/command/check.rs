//! `tracer check`, from top to bottom: what this kernel and this user can do,
//! what each gap costs, and what to do about it.
//!
//! Each file of [`self`] finds out about one thing and makes rows of it. What can
//! only be known by trying is tried: the programs are loaded and attached as a run
//! does it, and detached again; what concerns interfaces is tried in a network
//! namespace of our own. What could not be found out is neither yes nor no.

mod capabilities;
mod fault;
mod hooks;
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
use crate::config::{ConfigError, parse_time};
use crate::files;
use crate::inject::Peer;
use crate::kernel::{offsets, version};

/// Finds everything out and prints it; whether `tracer run` can work.
pub(crate) fn run(arguments: &CheckArguments) -> anyhow::Result<bool> {
    let peer = arguments.peer.as_deref().map(str::parse::<Peer>);
    let peer = peer.transpose().map_err(ConfigError::from)?;
    let watched = arguments.commits.as_deref();
    let watched = watched.map(|lasts| parse_time("commits", lasts));
    let watched = watched.transpose()?;
    let release = version::release();
    let resolved = offsets::from_running_kernel();
    let held = capabilities::HeldCapabilities::by_this_thread();

    let mut rows = kernel::rows(&release, &resolved);
    rows.extend(capabilities::rows(&held));
    rows.extend(programs::rows(&held, resolved.as_ref().ok()));
    rows.extend(fault::rows(&held, release.as_deref().ok()));
    rows.extend(interface::rows(arguments, peer.as_slice()));
    rows.extend(postgres::rows());
    rows.extend(watched.into_iter().flat_map(hooks::rows));
    rows.push(kernel::tools());

    let report = Report::new(release.unwrap_or_default(), rows);
    let text = match arguments.json {
        true => {
            let mut json = serde_json::to_string_pretty(&report)
                .context("the answer cannot be written as JSON")?;
            json.push('\n');
            tracer_core::harmless::json(&json).into_owned()
        }
        false => text::render(&report),
    };
    files::print(&text, None).context("the answer cannot be written to standard output")?;
    Ok(report.can_run == Some(true))
}
