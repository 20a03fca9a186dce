//! Whose leftover is this? Everything that the lab makes carries the id of the
//! process that made it: `tracer-<tag>-<pid>-<role>`. When that process is
//! gone, so is the reason for the thing.

use crate::testbed::command;

/// What every name of ours begins with.
pub(crate) const PREFIX: &str = "tracer-";

/// The name of a thing that the calling process owns.
pub(crate) fn name(tag: &str, role: &str) -> String {
    name_of(tag, std::process::id(), role)
}

pub(crate) fn name_of(tag: &str, pid: impl std::fmt::Display, role: &str) -> String {
    format!("{PREFIX}{tag}-{pid}-{role}")
}

/// The process that a name says it belongs to; `None` when the name is not
/// one of ours.
pub(crate) fn of(name: &str) -> Option<u32> {
    let mut parts = name.strip_prefix(PREFIX)?.rsplit('-');
    let _role = parts.next()?;
    let pid = parts.next()?.parse().ok()?;
    // A tag has to be left over, or the name was not made by `name`.
    parts.next().filter(|tag| !tag.is_empty())?;
    Some(pid)
}

/// Whether the name is one of ours and its owner has died.
pub(crate) fn is_orphan(name: &str) -> bool {
    // One that has died stays a zombie until somebody asks how.
    of(name).is_some_and(|pid| matches!(command::state(pid), None | Some('Z' | 'X')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_owner() {
        assert_eq!(of(&name("demo", "primary")), Some(std::process::id()));
        assert_eq!(of("tracer-two-words-12-standby"), Some(12));
    }

    #[test]
    fn what_is_not_ours_has_no_owner() {
        for name in [
            "",
            "tracer-",
            "tracer-12-db",
            "docker-a-12-db",
            "tracer-a-b-c",
        ] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    #[test]
    fn the_living_keep_what_is_theirs() {
        assert!(!is_orphan(&name("demo", "primary")));
        // Above the largest process id that Linux gives (2^22).
        assert!(is_orphan("tracer-demo-4194305-primary"));
    }
}
