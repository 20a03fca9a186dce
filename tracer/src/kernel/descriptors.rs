//! How many files this process may have open: raised as far as it may be, and said
//! where it does not suffice.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What a run opens until it counts, and what the event loops, the signals, a server and
/// its programs take then: what opens them there panics, is not heard, or blames another.
pub(crate) const RUN: usize = 48;
/// What an event loop with its signals takes, and a few more.
pub(crate) const LOOP: usize = 16;

/// There is no room for what comes.
#[derive(Debug, thiserror::Error)]
#[error(
    "this process may have no more than {limit} files open, too few for what was asked: it has {open}, and needs {more} more"
)]
pub(crate) struct TooFew {
    limit: u64,
    open: usize,
    more: usize,
}

/// Raises the limit as far as it can be without a privilege. A guard process inherits
/// that, which changes nothing for it: it closes all that it was not started for.
pub(crate) fn raise() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // Refused, it stays what it was; what it is too low for says so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Makes sure that there is room for so many more.
///
/// # Errors
/// If there is not.
pub(crate) fn ensure(more: usize) -> Result<(), TooFew> {
    let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Ok(());
    };
    let open = match std::fs::read_dir("/proc/self/fd") {
        // One of them is the folder itself.
        Ok(entries) => entries.count().saturating_sub(1),
        Err(error) if is_exhausted(&error) => usize::try_from(limit).unwrap_or(usize::MAX),
        // Without /proc nothing is known, and whatever opens something says so.
        Err(_) => return Ok(()),
    };
    match (open.saturating_add(more)) as u64 > limit {
        true => Err(TooFew { limit, open, more }),
        false => Ok(()),
    }
}

/// Whether there was no descriptor left, of this process or of the system.
#[must_use]
pub(crate) fn is_exhausted(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// An error's text, and what to do about it if it is that too many files are open:
/// whoever met it may have taken it for something else.
#[must_use]
pub(crate) fn explained(text: String) -> String {
    let remedy = if text.contains("LimitNOFILE=") || text.contains("fs.file-max") {
        return text;
    } else if text.contains("open files in system") || text.contains("os error 23") {
        "the whole system has too many files open; raise the sysctl fs.file-max"
    } else if text.contains("Too many open files") || text.contains(" files open, too few") {
        "raise the limit of open files: `ulimit -Hn` shows it and, as root, `ulimit -n 65536` raises it; of a service, LimitNOFILE= does"
    } else {
        return text;
    };
    format!("{text}; {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_of_open_files_is_explained() {
        let told = |number| explained(std::io::Error::from_raw_os_error(number).to_string());
        assert!(told(libc::EMFILE).contains("LimitNOFILE="));
        assert!(told(libc::ENFILE).contains("fs.file-max"));
        let few = ensure(usize::MAX).unwrap_err();
        let once = explained(few.to_string());
        assert!(once.contains("ulimit -n"), "{once}");
        assert_eq!(explained(once.clone()), once);
        ensure(1).unwrap();
        assert_eq!(explained("other".to_owned()), "other");
    }
}
