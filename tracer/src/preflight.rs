//! What must be true before anything is started, told with the remedy.

use caps::{CapSet, Capability};

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
    if holds(Capability::CAP_SYS_ADMIN) {
        return Ok(());
    }
    let needed = [Capability::CAP_BPF, Capability::CAP_PERFMON];
    let missing: Vec<_> = needed
        .into_iter()
        .filter(|needed| !holds(*needed))
        .map(|needed| needed.to_string())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(PreflightError::Capability {
        missing: missing.join(" and "),
    })
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
