//! Files that are read whole, and what to call them.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::Context as _;

/// All that is in a file; `-` is standard input.
pub(crate) fn contents(path: &Path) -> anyhow::Result<Vec<u8>> {
    let read = if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    read.with_context(|| format!("cannot read {}", name(path)))
}

/// What to call a file that is read.
pub(crate) fn name(path: &Path) -> String {
    if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}
