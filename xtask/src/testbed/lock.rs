//! One run at a time.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::testbed::wait;

/// How long another run is waited for.
pub(crate) const OTHERS: Duration = Duration::from_secs(600);

/// Takes the lock that this file stands for, and says so when another run has it. It is
/// given back when the value is dropped, and by the kernel when its process ends.
pub(crate) fn take(path: &Path, what: &str, limit: Duration) -> Result<Flock<File>> {
    let mut file =
        Some(File::create(path).with_context(|| format!("cannot write {}", path.display()))?);
    let awaited = format!("another run to leave {what}");
    let mut said = false;
    wait::until(limit, &awaited, || {
        let Some(unlocked) = file.take() else {
            bail!("{} is lost", path.display());
        };
        match Flock::lock(unlocked, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((unlocked, Errno::EWOULDBLOCK | Errno::EINTR)) => {
                if !std::mem::replace(&mut said, true) {
                    eprintln!("waiting    for {awaited}, at most {} s", limit.as_secs());
                }
                file = Some(unlocked);
                Ok(None)
            }
            Err((_, error)) => Err(error).context(format!("cannot lock {}", path.display())),
        }
    })
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
