//! A browser without a window, which takes the picture of a page.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::provision::packages;
use crate::testbed::command::{self, Running};

/// How long it may take; some seconds are usual.
const LIMIT: Duration = Duration::from_secs(60);

/// Takes the picture of the upper left part of a page, of so many pixels. It is beside the
/// page then, and so is all that the browser keeps.
pub(super) fn photograph(page: &Path, (width, height): (u32, u32)) -> Result<PathBuf> {
    let folder = page.parent().context("a page is in a folder")?;
    let picture = page.with_extension("png");
    let mut browser = Command::new(packages::program("chromium")?);
    browser
        .args(["--headless", "--no-sandbox", "--disable-gpu"])
        .args(["--disable-background-networking", "--no-first-run"])
        .args(["--hide-scrollbars", "--force-device-scale-factor=1"])
        .arg(format!("--window-size={width},{height}"))
        .arg(with("--user-data-dir=", &folder.join("profile")))
        .arg(with("--screenshot=", &picture))
        .arg(with("file://", page))
        .env("HOME", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let line = command::line(&browser);
    let status = Running::start(&mut browser, "chromium")?.wait(Some(LIMIT))?;
    ensure!(
        status.success() && picture.exists(),
        "`{line}` made no picture ({status})"
    );
    Ok(picture)
}

fn with(text: &str, path: &Path) -> OsString {
    let mut text = OsString::from(text);
    text.push(path);
    text
}
