//! One run at a time.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::mem;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::testbed::{file, wait};

/// How long another run is waited for.
pub(crate) const OTHERS: Duration = Duration::from_secs(600);

/// Takes the lock that this file stands for, and says so when another run has it. It is
/// given back when the value is dropped, and by the kernel when its process ends.
pub(crate) fn take(path: &Path, what: &str, limit: Duration) -> Result<File> {
    let file = file::create(path)?;
    let awaited = format!("another run to leave {what}");
    let mut said = false;
    wait::until(limit, &awaited, || match file.try_lock() {
        Ok(()) => Ok(Some(())),
        Err(TryLockError::WouldBlock) => {
            if !mem::replace(&mut said, true) {
                eprintln!("waiting    for {awaited}, at most {} s", limit.as_secs());
            }
            Ok(None)
        }
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = take(&path, "a folder", Duration::ZERO).unwrap();
        let refused = take(&path, "a folder", Duration::from_millis(20)).unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("another run to leave a folder")
        );
        drop(first);
        take(&path, "a folder", Duration::ZERO).unwrap();
    }
}
