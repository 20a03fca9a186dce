//! Files that are opened before tracing begins, so that a bad path fails at once
//! and not after an hour.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A path that cannot be written to.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {option} {path}: {cause}")]
pub struct OutputError {
    option: &'static str,
    path: PathBuf,
    cause: io::Error,
}

/// A file that appears whole or not at all.
#[derive(Debug)]
pub struct Output {
    option: &'static str,
    path: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    /// A regular file, written beside its path and renamed onto it.
    Renamed(NamedTempFile),
    /// A pipe or a device, which cannot be replaced.
    Direct(File),
    Stdout,
}

impl Output {
    /// Prepares writing to `path`; `-` is standard output.
    ///
    /// # Errors
    /// If nothing can be created there.
    pub fn create(option: &'static str, path: &Path) -> Result<Self, OutputError> {
        let target = Self::open(path).map_err(|cause| OutputError {
            option,
            path: path.to_owned(),
            cause,
        })?;
        Ok(Self {
            option,
            path: path.to_owned(),
            target,
        })
    }

    fn open(path: &Path) -> io::Result<Target> {
        if path == Path::new("-") {
            return Ok(Target::Stdout);
        }
        match fs::metadata(path) {
            Ok(existing) if existing.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(existing)
                if existing.file_type().is_fifo() || existing.file_type().is_char_device() =>
            {
                return Ok(Target::Direct(OpenOptions::new().write(true).open(path)?));
            }
            // A file that may not be written is not to be replaced either.
            Ok(existing) if existing.is_file() => drop(OpenOptions::new().append(true).open(path)?),
            _ => {}
        }
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let file = tempfile::Builder::new()
            .prefix(&format!(".{}.", name.to_string_lossy()))
            .suffix(".tmp")
            // What the process's mask leaves of it, as for any new file.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(existing(path)?)?;
        Ok(Target::Renamed(file))
    }

    /// Whether this is the caller's standard output.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        matches!(self.target, Target::Stdout)
    }

    /// Writes the whole content and makes it last.
    ///
    /// # Errors
    /// If it could not be written; then nothing is left at the path that was not
    /// there before.
    pub fn finish(self, content: &[u8]) -> Result<(), OutputError> {
        let Self {
            option,
            path,
            target,
        } = self;
        Self::store(target, &path, content).map_err(|cause| OutputError {
            option,
            path,
            cause,
        })
    }

    fn store(target: Target, path: &Path, content: &[u8]) -> io::Result<()> {
        match target {
            Target::Stdout => {
                let mut stdout = io::stdout().lock();
                match stdout.write_all(content).and_then(|()| stdout.flush()) {
                    // The reader has seen enough.
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                    other => other,
                }
            }
            Target::Direct(mut file) => file.write_all(content),
            Target::Renamed(mut file) => {
                file.write_all(content)?;
                file.as_file().sync_all()?;
                let directory = file.path().parent().map(Path::to_path_buf);
                file.persist(path).map_err(|error| error.error)?;
                match directory {
                    Some(directory) => File::open(directory)?.sync_all(),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The folder that a path's last part is or is to be in. That it is missing is
/// told here, without the name of a temporary file that nobody asked for.
fn existing(path: &Path) -> io::Result<&Path> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::metadata(folder)?;
    Ok(folder)
}

/// Says that everything is counted, and takes it back at the end.
#[derive(Debug)]
pub struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Makes sure that the file can be made, and that none is there from an
    /// earlier run. Somebody may be waiting for it already, so the trial is
    /// another file.
    ///
    /// # Errors
    /// If it cannot.
    pub fn prepare(path: &Path) -> Result<Self, OutputError> {
        let failed = |cause| OutputError {
            option: "--ready-file",
            path: path.to_owned(),
            cause,
        };
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        existing(path)
            .and_then(tempfile::tempfile_in)
            .map_err(failed)?;
        Ok(Self(path.to_owned()))
    }

    /// Makes it appear.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn announce(&self) -> Result<(), OutputError> {
        File::create(&self.0)
            .map(drop)
            .map_err(|cause| OutputError {
                option: "--ready-file",
                path: self.0.clone(),
                cause,
            })
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        // It may not be there: then there is nothing to take back.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_appears_at_the_end_and_replaces_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.json");
        fs::write(&path, "old").unwrap();
        let output = Output::create("--json", &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        output.finish(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_run_that_fails_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        drop(Output::create("--json", &directory.path().join("run.json")).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn bad_paths_fail_at_once_and_are_named() {
        let directory = tempfile::tempdir().unwrap();
        for path in [
            directory.path().to_owned(),
            directory.path().join("no/such/dir/run.json"),
        ] {
            let message = Output::create("--json", &path).unwrap_err().to_string();
            assert!(message.starts_with("cannot write --json /"), "{message}");
        }
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let output = Output::create("--json", Path::new("/dev/full")).unwrap();
        let message = output.finish(b"{}").unwrap_err().to_string();
        assert!(message.contains("/dev/full"), "{message}");
    }
}
