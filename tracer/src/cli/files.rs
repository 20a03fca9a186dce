//! What was typed of commands that read files.

use std::path::{Path, PathBuf};

use clap::Args;

pub(super) const AFTER_REPLAY_HELP: &str = "Needs neither root nor the kernel that recorded them. A file of events does not hold how many events were lost, what the kernel itself counted, segments that no event showed, processes, the database and faults: in the report these are `null`, or empty.";

pub(super) const AFTER_MERGE_HELP: &str = "The file (`tracer.merge/2`) holds both reports as they were, the connections that both saw with what each end retransmitted, by how much the clocks differ as far as the data show, and what either host found. `tracer report` shows it.";

/// The arguments of `tracer report`.
#[derive(Debug, Args, Clone)]
pub struct ReportArguments {
    /// What `tracer run --json` or `tracer merge` wrote (`-` for standard input)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Where it goes.
    #[command(flatten)]
    pub to: DocumentArguments,
}

/// The arguments of `tracer explain`.
#[derive(Debug, Args, Clone)]
pub struct ExplainArguments {
    /// What `tracer run --commits --json` or `tracer merge` wrote (`-` for standard input)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// The commits that waited for this position in the WAL, as PostgreSQL writes it, such as
    /// `0/3002208`
    #[arg(long, value_name = "LSN", conflicts_with = "slowest")]
    pub lsn: Option<String>,

    /// So many of the slowest
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub slowest: usize,

    /// Where it goes.
    #[command(flatten)]
    pub to: DocumentArguments,
}

/// What is written for people: where to, and as what.
#[derive(Debug, Args, Clone)]
pub struct DocumentArguments {
    /// Where to write it: .html for one file with charts, .md or .txt (`-` for
    /// standard output) [default: -]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// What to write: `html`, `md` or `text` [default: by the file's name; text to
    /// standard output]
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    pub format: Option<Format>,
}

/// The arguments of `tracer merge`.
#[derive(Debug, Args, Clone)]
pub struct MergeArguments {
    /// What `tracer run --json` wrote on each of two hosts
    #[arg(value_name = "FILE", num_args = 2, required = true)]
    pub files: Vec<PathBuf>,

    /// Where to write it (`-` for standard output) [default: -]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The arguments of `tracer replay`.
#[derive(Debug, Args, Clone)]
pub struct ReplayArguments {
    /// What `tracer run --events` wrote (`-` for standard input), compressed with gzip or
    /// not. Several files, as logrotate leaves them, make one report, in whatever order
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// Peer to keep: an address or a CIDR, IPv4 or IPv6; may be repeated [default: all]
    #[arg(long, value_name = "ADDRESS|CIDR")]
    pub peer: Vec<String>,

    /// Keep only flows with this port at either end; may be repeated
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Vec<u16>,

    /// Length of an interval of the report's series
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub interval: String,

    /// Write the report to this file (`-` for standard output)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Show nothing but warnings and errors
    #[arg(long, short)]
    pub quiet: bool,
}

/// What a report is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One file, with charts
    Html,
    /// Markdown
    #[value(alias = "markdown")]
    Md,
    /// For a terminal
    Text,
}

impl Format {
    /// What a file's name says of what is to be written to it.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        if path == Path::new("-") {
            return Some(Self::Text);
        }
        match path.extension()?.to_str()? {
            "html" | "htm" => Some(Self::Html),
            "md" | "markdown" => Some(Self::Md),
            "txt" | "text" => Some(Self::Text),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_tell_what_to_write() {
        let format = |name: &str| Format::of_file(Path::new(name));
        assert_eq!(format("-"), Some(Format::Text));
        assert_eq!(format("a/run.html"), Some(Format::Html));
        assert_eq!(format("run.md"), Some(Format::Md));
        for unknown in ["run", "run.pdf", "html", ".html", "run."] {
            assert_eq!(format(unknown), None, "{unknown}");
        }
    }
}
