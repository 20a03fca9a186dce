//! The kernels that guests run.

use std::str::FromStr;

use crate::provision::apt::Archive;

/// A line of Debian's kernels, of which the newest is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// The version's first two numbers: the packages are called
    /// `linux-image-NAME.…-amd64`.
    pub(crate) name: &'static str,
    pub(super) archive: Archive,
    pub(super) suite: &'static str,
}

#[rustfmt::skip]
/// Every line that guests run; a new one is one more.
pub(crate) const MATRIX: [Kernel; 5] = [
    Kernel { name: "5.10", archive: Archive::Security, suite: "bullseye-security" },
    Kernel { name: "6.1",  archive: Archive::Security, suite: "bookworm-security" },
    Kernel { name: "6.12", archive: Archive::Security, suite: "bookworm-security" },
    Kernel { name: "6.18", archive: Archive::Main,     suite: "trixie-backports" },
    Kernel { name: "7.3",  archive: Archive::Main,     suite: "trixie-backports" },
];

impl FromStr for Kernel {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = MATRIX.into_iter().find(|kernel| kernel.name == name);
        found.ok_or_else(|| {
            let names = MATRIX.map(|kernel| kernel.name).join(", ");
            format!("no such kernel; there are {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_known_by_its_name() {
        for kernel in MATRIX {
            assert_eq!(kernel.name.parse(), Ok(kernel));
        }
        assert!("6".parse::<Kernel>().unwrap_err().contains("6.12"));
    }
}
