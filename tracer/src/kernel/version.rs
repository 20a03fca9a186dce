//! The version of the running kernel: for reports and messages. What a kernel
//! can do is read from its BTF, but for what leaves no trace there.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::fmt;

/// Major and minor number of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelVersion {
    /// 6 of 6.18.
    pub major: u32,
    /// 18 of 6.18.
    pub minor: u32,
}

/// The release string of a kernel starts with no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the kernel calls itself {0:?}, which starts with no version such as 6.1")]
pub struct VersionError(String);

impl KernelVersion {
    /// Parses what `uname -r` prints, for example `6.1.0-50-amd64`.
    ///
    /// # Errors
    /// When it does not start with two numbers.
    pub fn parse(release: &str) -> Result<Self, VersionError> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Self { major, minor }),
            _ => Err(VersionError(release.to_owned())),
        }
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The release string of the running kernel, as `uname -r` prints it.
///
/// # Errors
/// Never on Linux.
pub fn release() -> nix::Result<String> {
    let names = nix::sys::utsname::uname()?;
    Ok(names.release().to_string_lossy().into_owned())
}

/// Whether the kernel runs a program of a tracepoint on a CPU only when it does not run there
/// already: [since 6.1](https://github.com/torvalds/linux/blob/v6.1/kernel/trace/bpf_trace.c#L2249).
pub(crate) fn runs_one_at_a_time() -> bool {
    const SINCE: KernelVersion = KernelVersion { major: 6, minor: 1 };
    let release = release().ok();
    let version = release.and_then(|release| KernelVersion::parse(&release).ok());
    version.is_some_and(|version| version >= SINCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_real_kernels_are_read() {
        for (release, major, minor) in [
            ("5.10.0-46-amd64", 5, 10),
            ("6.12.117+deb12-amd64", 6, 12),
            ("5.14.0-427.13.1.el9_4.x86_64", 5, 14),
            ("7.0-rc3", 7, 0),
            ("6.18", 6, 18),
        ] {
            let found = KernelVersion::parse(release).expect(release);
            assert_eq!(found, KernelVersion { major, minor }, "{release}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number() {
        let [old, new] = ["5.9.1", "5.10.1"].map(|r| KernelVersion::parse(r).expect(r));
        assert!(old < new);
        assert_eq!(new.to_string(), "5.10");
    }

    #[test]
    fn what_is_no_version_is_an_error() {
        for release in ["", "linux", "6", "6-rc1", "v6.1", ".6.1", "99999999999.1"] {
            assert!(KernelVersion::parse(release).is_err(), "{release}");
        }
    }

    #[test]
    fn this_kernel_has_a_version() {
        assert!(KernelVersion::parse(&release().expect("uname")).is_ok());
    }
}
