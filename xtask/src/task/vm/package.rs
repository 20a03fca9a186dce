//! Reading apt's answers: which package is the newest, and what it consists of.

/// The newest kernel of a line such as `5.10`, as the release that `uname -r`
/// prints, among the answers of `apt-cache search`.
pub(super) fn newest(found: &str, name: &str) -> Option<String> {
    found
        .lines()
        .filter_map(|line| {
            let package = line.split(' ').next()?;
            let release = package.strip_prefix("linux-image-")?;
            let rest = release.strip_prefix(name)?.strip_prefix('.')?;
            let abi = rest.strip_suffix("-amd64")?;
            // Flavours (`-rt`, `-cloud`) are other kernels.
            let plain = |part: &str| part.starts_with(|first: char| first.is_ascii_digit());
            abi.split('-').all(plain).then_some((numbers(abi), release))
        })
        .max()
        .map(|(_, release)| release.to_owned())
}

fn numbers(text: &str) -> Vec<u64> {
    text.split(|character: char| !character.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// The packages that hold a kernel's files, out of the answer of `apt-cache
/// show` for its image: that one, and in newer releases others for the kernel,
/// its modules and the list of what is built in.
pub(super) fn parts(shown: &str, release: &str) -> Vec<String> {
    let mut parts = vec![format!("linux-image-{release}")];
    let depends = shown.lines().find_map(|line| line.strip_prefix("Depends:"));
    for alternative in depends.unwrap_or_default().split([',', '|']) {
        let package = alternative.split_whitespace().next().unwrap_or_default();
        if ["base", "binary", "modules"]
            .iter()
            .any(|part| package == format!("linux-{part}-{release}"))
        {
            parts.push(package.to_owned());
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_found_by_number_and_without_flavours() {
        let found = "linux-image-5.10.0-9-amd64 - Linux 5.10 for 64-bit PCs (signed)\n\
            linux-image-5.10.0-46-amd64 - Linux 5.10 for 64-bit PCs (signed)\n\
            linux-image-5.10.0-46-amd64-dbg - Debug symbols\n\
            linux-image-5.10.0-47-amd64-unsigned - Linux 5.10\n\
            linux-image-5.10.0-47-cloud-amd64 - Linux 5.10 for clouds\n\
            linux-image-5.10.0-47-rt-amd64 - Linux 5.10, PREEMPT_RT\n";
        assert_eq!(newest(found, "5.10").unwrap(), "5.10.0-46-amd64");
        assert_eq!(newest(found, "5.1"), None);
        assert_eq!(newest("", "5.10"), None);
    }

    #[test]
    fn a_backport_has_its_number_elsewhere() {
        let found = "linux-image-6.12.90+deb12.1-amd64 - x\n\
            linux-image-6.12.117+deb12-amd64 - x\n\
            linux-image-6.12.90+deb12-amd64 - x\n";
        assert_eq!(newest(found, "6.12").unwrap(), "6.12.117+deb12-amd64");
    }

    #[test]
    fn a_kernel_may_come_in_parts() {
        let shown = "Package: linux-image-7.3.4+deb13-amd64\n\
            Depends: dracut | initramfs-tools (>= 0.120), \
            linux-base-7.3.4+deb13-amd64 (= 7.3.4-1), \
            linux-binary-7.3.4+deb13-amd64 (= 7.3.4-1), \
            linux-modules-7.3.4+deb13-amd64 (= 7.3.4-1)\n";
        assert_eq!(
            parts(shown, "7.3.4+deb13-amd64"),
            [
                "linux-image-7.3.4+deb13-amd64",
                "linux-base-7.3.4+deb13-amd64",
                "linux-binary-7.3.4+deb13-amd64",
                "linux-modules-7.3.4+deb13-amd64",
            ]
        );
        assert_eq!(
            parts("Depends: kmod\n", "5.10.0-46-amd64"),
            ["linux-image-5.10.0-46-amd64"]
        );
    }
}
