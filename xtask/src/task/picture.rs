//! `cargo xtask picture`: the pictures of the README, of a real report and of a real run.

mod browser;
mod live;
mod screen;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use tempfile::TempDir;

use crate::provision::{packages, repo};
use crate::task::setup;
use crate::testbed::{command, file};

/// The width of both pictures, pixels.
const WIDTH: u32 = 1280;
/// How much is seen of a report: its verdict, and the slowest commit.
const REPORT_HEIGHT: u32 = 765;
/// The report of a primary and its standby whose commits waited: the README shows its words, too.
const REPORT: &str = "results/partial-loss/steady/run.json";

/// Readers on a slow line wait for no more than this, bytes.
const MAX_BYTES: u64 = 150_000;

#[derive(Debug, Args)]
pub(crate) struct PictureArguments {
    /// The report to show [default: results/partial-loss/steady/run.json of this repository]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Folder for the pictures [default: docs/images of this repository]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Make this one alone
    #[arg(long, value_enum, value_name = "PICTURE")]
    only: Option<Picture>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Picture {
    /// The first screen of the HTML report
    Report,
    /// The live view while the network loses segments; needs root
    Live,
}

pub(crate) fn run(arguments: &PictureArguments) -> Result<()> {
    setup::run()?;
    packages::ensure_also(&packages::PICTURES)?;
    // What it shows is the same as in a release, which takes minutes to build.
    let tracer = repo::build_debug()?;
    let within = |path: &str| repo::root().join(path);
    let output = arguments.output.clone();
    let output = output.unwrap_or_else(|| within("docs/images"));
    // A bad path fails at once.
    file::make_folder(&output)?;
    let wanted = |one| arguments.only.is_none_or(|only| only == one);
    if wanted(Picture::Report) {
        let report = arguments.report.clone();
        let report = report.unwrap_or_else(|| within(REPORT));
        of_report(&tracer, &report, &output.join("report.png"))?;
    }
    if wanted(Picture::Live) {
        of_live_view(&tracer, &output.join("live.png"))?;
    }
    Ok(())
}

fn of_report(tracer: &Path, report: &Path, picture: &Path) -> Result<()> {
    let folder = TempDir::new().context("cannot make a folder for the page")?;
    let page = folder.path().join("report.html");
    let mut render = Command::new(tracer);
    render.arg("report").arg(report).arg("-o").arg(&page);
    command::output(&mut render)?;
    publish(&page, REPORT_HEIGHT, picture)
}

fn of_live_view(tracer: &Path, picture: &Path) -> Result<()> {
    let screen = live::capture(tracer)?;
    let folder = TempDir::new().context("cannot make a folder for the page")?;
    let page = folder.path().join("live.html");
    let (html, height) = screen::page(&screen)?;
    file::write(&page, html)?;
    publish(&page, height, picture)
}

/// Takes the picture of a page, and puts it in its place once it is whole.
fn publish(page: &Path, height: u32, picture: &Path) -> Result<()> {
    let taken = browser::photograph(page, (WIDTH, height))?;
    ensure!(
        fs::metadata(&taken)?.len() <= MAX_BYTES,
        "the picture of {} is larger than {MAX_BYTES} bytes",
        page.display()
    );
    fs::copy(&taken, picture).with_context(|| format!("cannot write {}", picture.display()))?;
    let path = repo::shorten(&picture.display().to_string());
    println!("written    {path}");
    Ok(())
}
