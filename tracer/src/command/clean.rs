//! `tracer clean`, from top to bottom.

use anyhow::Context as _;

use crate::command::log::start_log;
use crate::config::Verbosity;
use crate::files::print_lines;
use crate::inject::{self, Fate};
use crate::kernel::netns;

/// Undoes what is left, and says what that was. False if something is still there.
pub(crate) fn run() -> anyhow::Result<bool> {
    start_log(Verbosity::Normal);
    let found = inject::clean()?;
    let mut lines = Vec::new();
    for leftover in &found {
        let fate = match &leftover.fate {
            Fate::Undone => "undone".to_owned(),
            Fate::Followed(whereabouts) => format!("undone: the interface {whereabouts}"),
            Fate::Active { pid: Some(pid) } => {
                format!("not touched: it is active, and ends with process {pid}")
            }
            Fate::Active { pid: None } => {
                "not touched: it is active, and this version of tracer cannot read its record"
                    .to_owned()
            }
            Fate::Failed(reason) => format!("NOT undone: {reason}"),
        };
        let what = match &leftover.place {
            Some((interface, netns)) => {
                format!("{interface} ({}): {}", netns::shown(*netns), leftover.what)
            }
            None => leftover.what.clone(),
        };
        lines.push(format!("{what}: {fate}"));
    }
    if lines.is_empty() {
        lines.push("nothing is left of any fault".to_owned());
    }
    print_lines(&lines).context("cannot write to standard output")?;
    Ok(!found
        .iter()
        .any(|leftover| matches!(leftover.fate, Fate::Failed(_))))
}
