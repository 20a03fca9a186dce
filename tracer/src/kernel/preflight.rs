//! What must be true before anything is started, told with the remedy.

use std::{fs, io};

use caps::CapSet;
use caps::Capability::{self, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN};

use crate::kernel::version::{self, KernelVersion};

/// The first kernel that this tool is tested on; 5.8 brought the ring buffer.
pub const OLDEST: KernelVersion = KernelVersion {
    major: 5,
    minor: 10,
};

/// Why nothing can be traced here.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// Not enough privileges.
    #[error(
        "not permitted to load kernel programs ({missing} missing), without which no retransmit can be seen; run it with sudo"
    )]
    Capability {
        /// What is missing.
        missing: String,
    },
    /// Root of a container is not the kernel's.
    #[error(
        "not permitted to load kernel programs, without which no retransmit can be seen: this process has its capabilities only in a user namespace, where the kernel takes none; run it as the host's root"
    )]
    UserNamespace,
    /// The kernel cannot be asked what it is.
    #[error("the kernel does not say which version it is: {0}")]
    Version(String),
    /// The kernel is too old.
    #[error(
        "Linux {found} is too old: its kernel programs lack what tracer needs; it runs from {OLDEST} on"
    )]
    TooOld {
        /// What runs.
        found: KernelVersion,
    },
}

/// Checks privileges and kernel version; returns the kernel's release.
///
/// # Errors
/// The first thing that is missing.
pub fn check() -> Result<String, PreflightError> {
    let release = version::release().map_err(|error| PreflightError::Version(error.to_string()))?;
    // What cannot be parsed is left to the kernel to refuse.
    if let Ok(found) = KernelVersion::parse(&release)
        && found < OLDEST
    {
        return Err(PreflightError::TooOld { found });
    }
    may_trace()?;
    Ok(release)
}

/// `CAP_BPF` and `CAP_PERFMON`, or the `CAP_SYS_ADMIN` that includes them
/// ([`capabilities(7)`](https://man7.org/linux/man-pages/man7/capabilities.7.html)).
fn may_trace() -> Result<(), PreflightError> {
    let missing = lacking(&[CAP_BPF, CAP_PERFMON]);
    if !missing.is_empty() {
        return Err(PreflightError::Capability {
            missing: names(&missing),
        });
    }
    match in_first_user_namespace() {
        Some(false) => Err(PreflightError::UserNamespace),
        Some(true) | None => Ok(()),
    }
}

/// The first user namespace has a number of its own (`PROC_USER_INIT_INO`,
/// [`linux/proc_ns.h`](https://github.com/torvalds/linux/blob/v6.12/include/linux/proc_ns.h#L44)).
const FIRST_USER_NAMESPACE: &str = "user:[4026531837]";

/// Whether this thread's capabilities are those that the kernel asks for; `None` if
/// `/proc` does not tell.
#[must_use]
pub fn in_first_user_namespace() -> Option<bool> {
    let namespace = fs::read_link("/proc/thread-self/ns/user").ok()?;
    Some(namespace.as_os_str() == FIRST_USER_NAMESPACE)
}

/// Whether this thread may do what that capability is for: `CAP_SYS_ADMIN` includes the
/// two that were once a part of it
/// ([`capabilities(7)`](https://man7.org/linux/man-pages/man7/capabilities.7.html)).
#[must_use]
pub fn has(capability: Capability) -> bool {
    let included = matches!(capability, CAP_BPF | CAP_PERFMON);
    holds(capability) || included && holds(CAP_SYS_ADMIN)
}

fn lacking(needed: &[Capability]) -> Vec<Capability> {
    let needed = needed.iter().copied();
    needed.filter(|needed| !has(*needed)).collect()
}

fn names(capabilities: &[Capability]) -> String {
    let names: Vec<_> = capabilities.iter().map(ToString::to_string).collect();
    match &names[..] {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => names.concat(),
    }
}

/// What is missing for something that takes these capabilities and was forbidden, and
/// what to do: none is named that is held.
#[must_use]
pub fn missing(needed: &[Capability]) -> String {
    say(needed, &lacking(needed), in_first_user_namespace())
}

fn say(needed: &[Capability], lacking: &[Capability], counts: Option<bool>) -> String {
    let are = |some: &[Capability]| if some.len() == 1 { "is" } else { "are" };
    if !lacking.is_empty() {
        return format!(
            "{} {} missing; run it with sudo",
            names(lacking),
            are(lacking)
        );
    }
    let held = format!("{} {} held", names(needed), are(needed));
    if counts == Some(false) {
        return format!(
            "{held}, but only in a user namespace, where the kernel does not count it; run it as the host's root"
        );
    }
    let limit = match needed.contains(&CAP_BPF) {
        true => " or, before Linux 5.11, the limit of locked memory (`ulimit -l`)",
        false => "",
    };
    format!(
        "{held}: a security module, a container's seccomp filter, kernel lockdown{limit} can forbid it all the same"
    )
}

/// What follows the words of an error, if it is that something was forbidden that takes
/// these capabilities: `; ` and what is missing. Else nothing.
#[must_use]
pub fn why_forbidden(error: &io::Error, needed: &[Capability]) -> String {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => format!("; {}", missing(needed)),
        _ => String::new(),
    }
}

/// Whether this thread may use a capability now; not if that cannot be told.
#[must_use]
pub fn holds(capability: Capability) -> bool {
    caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false)
}

/// Gives up every capability but those in `needed`: what is attached stays
/// attached, and nothing that comes later needs more.
///
/// # Errors
/// If the kernel refuses; it never refuses to take less.
pub fn keep_only(needed: &[Capability]) -> Result<(), caps::errors::CapsError> {
    let held = caps::read(None, CapSet::Permitted)?;
    let keep = needed
        .iter()
        .copied()
        .filter(|capability| held.contains(capability))
        .collect();
    // Effective first: it must stay within permitted.
    caps::set(None, CapSet::Effective, &keep)?;
    caps::set(None, CapSet::Permitted, &keep)?;
    caps::clear(None, CapSet::Inheritable)
}

#[cfg(test)]
mod tests {
    use caps::Capability::CAP_NET_ADMIN;

    use super::*;

    #[test]
    fn what_is_missing_is_named_and_nothing_that_is_held() {
        let both = [CAP_BPF, CAP_NET_ADMIN];
        assert_eq!(
            say(&both, &both, Some(true)),
            "CAP_BPF and CAP_NET_ADMIN are missing; run it with sudo"
        );
        assert_eq!(
            say(&both, &[CAP_NET_ADMIN], Some(true)),
            "CAP_NET_ADMIN is missing; run it with sudo"
        );
        let held = say(&both, &[], Some(true));
        assert!(held.contains("are held") && held.contains("seccomp") && held.contains("ulimit"));
        assert!(!say(&[CAP_NET_ADMIN], &[], None).contains("ulimit"));
        assert!(say(&both, &[], Some(false)).contains("user namespace"));
    }

    #[test]
    fn another_error_is_nobodys_fault() {
        let error = io::Error::from_raw_os_error(libc::ENODEV);
        assert_eq!(why_forbidden(&error, &[CAP_NET_ADMIN]), "");
        let error = io::Error::from_raw_os_error(libc::EPERM);
        assert!(why_forbidden(&error, &[CAP_NET_ADMIN]).starts_with("; CAP_NET_ADMIN "));
    }
}
