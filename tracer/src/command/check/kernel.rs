//! What kernel this is, and what it says of itself.

use std::{fs, io};

use crate::command::check::row::Group::{Kernel, OtherTools};
use crate::command::check::row::Row;
use crate::command::check::shortfall::{self, Shortfall};
use crate::kernel::btf::RUNNING_KERNEL;
use crate::kernel::offsets::{OffsetsError, Resolved};
use crate::kernel::pidns::{self, Shown};
use crate::kernel::preflight::OLDEST;
use crate::kernel::version::KernelVersion;

pub(super) fn rows(
    release: &nix::Result<String>,
    resolved: &Result<Resolved, OffsetsError>,
) -> Vec<Row> {
    let mut rows = vec![version(release), processes(pidns::shown())];
    match resolved {
        Ok(resolved) => {
            rows.push(Row::yes(Kernel, "BTF", RUNNING_KERNEL).required());
            rows.push(Row::yes(Kernel, "required fields", "all found in BTF").required());
            rows.extend(fields(resolved));
            rows.push(failures(resolved));
        }
        Err(error) => rows.extend(without_fields(error)),
    }
    rows
}

/// What cannot be parsed is left to the kernel to refuse, as in a run.
fn version(release: &nix::Result<String>) -> Row {
    const NAME: &str = "release";
    let release = match release {
        Ok(release) => release,
        Err(error) => {
            let why = format!("the kernel does not say: {error}");
            return Row::unknown(Kernel, NAME, why).required();
        }
    };
    match KernelVersion::parse(release) {
        Ok(found) if found < OLDEST => {
            let found = format!("{release}; {OLDEST} is the oldest supported");
            Row::no(Kernel, NAME, found, shortfall::OLD_KERNEL).required()
        }
        Ok(_) => {
            let found = format!("{release}; {OLDEST} is the oldest supported");
            Row::yes(Kernel, NAME, found)
        }
        Err(error) => Row::unknown(Kernel, NAME, error.to_string()),
    }
}

/// Whom `/proc` shows.
fn processes(shown: Shown) -> Row {
    const NAME: &str = "processes";
    match shown {
        Shown::All => Row::yes(Kernel, NAME, "all of this machine are seen"),
        Shown::Those(inode) => {
            let found = format!("only those of a PID namespace are seen (pid:[{inode}])");
            Row::no(Kernel, NAME, found, shortfall::PROCESSES)
        }
        Shown::Unknown => Row::unknown(Kernel, NAME, "/proc does not say whose it shows"),
    }
}

/// One row for all, or one for each that is missing.
fn fields(resolved: &Resolved) -> Vec<Row> {
    if resolved.missing.is_empty() {
        return vec![Row::yes(Kernel, "other fields", "all found in BTF")];
    }
    let missing = resolved.missing.iter();
    missing
        .map(|missing| {
            Row::no(
                Kernel,
                format!("field {}", missing.field),
                "not in this kernel, or not as tracer reads it",
                Shortfall {
                    consequence: missing.consequence,
                    remedy: shortfall::FIELD_REMEDY,
                },
            )
        })
        .collect()
}

fn failures(resolved: &Resolved) -> Row {
    const NAME: &str = "failed retransmits";
    if resolved.offsets.retransmit_has_err == 1 {
        Row::yes(Kernel, NAME, "tcp_retransmit_skb shows them (`err`)")
    } else {
        let found = "tcp_retransmit_skb does not show them (no `err`)";
        Row::no(Kernel, NAME, found, shortfall::FAILURES)
    }
}

fn without_fields(error: &OffsetsError) -> Vec<Row> {
    let btf = |found: &str, gap| Row::no(Kernel, "BTF", found, gap).required();
    let mut rows = match error {
        OffsetsError::NoBtf => vec![btf(
            &format!("{RUNNING_KERNEL} does not exist"),
            shortfall::BTF,
        )],
        OffsetsError::Unreadable(error) => {
            let found = format!("{RUNNING_KERNEL} cannot be read: {error}");
            vec![btf(&found, shortfall::BTF_UNREADABLE)]
        }
        OffsetsError::Btf(error) => vec![btf(&error.to_string(), shortfall::REQUIRED_FIELD)],
        OffsetsError::Required { field, found } => {
            let found = format!("{field}: {found}");
            vec![
                Row::yes(Kernel, "BTF", RUNNING_KERNEL).required(),
                Row::no(Kernel, "required fields", found, shortfall::REQUIRED_FIELD).required(),
            ]
        }
    };
    rows.extend(
        ["other fields", "failed retransmits"]
            .map(|name| Row::unknown(Kernel, name, "not checked, for the above")),
    );
    rows
}

/// What tracer does without, though other tracing tools do not.
pub(super) fn tools() -> Row {
    tracefs(fs::read_to_string("/proc/self/mountinfo"))
}

fn tracefs(mounts: io::Result<String>) -> Row {
    const NAME: &str = "tracefs";
    match mounts {
        Err(error) => {
            let why = format!("/proc/self/mountinfo cannot be read: {error}");
            Row::unknown(OtherTools, NAME, why)
        }
        Ok(mounts) => match mounts.lines().find_map(tracefs_mount) {
            Some(place) => Row::yes(OtherTools, NAME, format!("mounted on {place}")),
            None => Row::no(OtherTools, NAME, "not mounted", shortfall::TRACEFS),
        },
    }
}

/// The mount point, if the line of `mountinfo` is one of tracefs: fields 5, and
/// the first after the dash (`proc_pid_mountinfo(5)`).
fn tracefs_mount(line: &str) -> Option<&str> {
    let (mount, file_system) = line.split_once(" - ")?;
    let kind = file_system.split(' ').next()?;
    (kind == "tracefs").then(|| mount.split(' ').nth(4))?
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::Offsets;

    use super::*;
    use crate::kernel::offsets::Missing;
    use crate::kernel::tracepoints::Tracepoints;

    fn resolved(missing: Vec<Missing>, has_err: u32) -> Result<Resolved, OffsetsError> {
        let mut offsets = Offsets::UNRESOLVED;
        offsets.retransmit_has_err = has_err;
        Ok(Resolved {
            offsets,
            missing,
            tracepoints: Tracepoints::default(),
        })
    }

    fn row(rows: &[Row], name: &str) -> Row {
        let found = rows.iter().find(|row| row.name == name);
        found
            .unwrap_or_else(|| panic!("no {name} in {rows:?}"))
            .clone()
    }

    #[test]
    fn a_kernel_that_has_everything_has_only_yes() {
        let rows = rows(&Ok("6.18.1".to_owned()), &resolved(Vec::new(), 1));
        assert!(rows.iter().all(|row| row.ok == Some(true)), "{rows:?}");
    }

    #[test]
    fn what_is_missing_is_named_with_what_it_costs() {
        let missing = vec![Missing {
            field: "tcp_sock.snd_cwnd",
            consequence: "the congestion window is not shown",
        }];
        let rows = rows(&Ok("5.10.0".to_owned()), &resolved(missing, 0));
        let field = row(&rows, "field tcp_sock.snd_cwnd");
        assert_eq!(field.ok, Some(false));
        assert!(!field.required);
        let consequence = field.consequence.as_deref();
        assert_eq!(consequence, Some("the congestion window is not shown"));
        assert_eq!(row(&rows, "failed retransmits").ok, Some(false));
    }

    #[test]
    fn without_btf_nothing_is_claimed_that_it_would_tell() {
        for error in [
            OffsetsError::NoBtf,
            OffsetsError::Unreadable(io::ErrorKind::PermissionDenied.into()),
        ] {
            let rows = rows(&Ok("6.18.1".to_owned()), &Err(error));
            let btf = row(&rows, "BTF");
            assert_eq!((btf.ok, btf.required), (Some(false), true));
            assert_eq!(row(&rows, "other fields").ok, None);
            assert_eq!(row(&rows, "failed retransmits").ok, None);
        }
        let error = OffsetsError::Required {
            field: "sock.sk_protocol",
            found: "it is not there".to_owned(),
        };
        let rows = rows(&Ok("6.18.1".to_owned()), &Err(error));
        assert_eq!(row(&rows, "BTF").ok, Some(true));
        let fields = row(&rows, "required fields");
        assert_eq!((fields.ok, fields.required), (Some(false), true));
        assert!(fields.found.contains("sock.sk_protocol"));
    }

    #[test]
    fn only_a_release_that_is_known_to_be_old_is_too_old() {
        let ok = |release: &str| version(&Ok(release.to_owned())).ok;
        assert_eq!(ok("4.19.0-27-amd64"), Some(false));
        assert_eq!(ok("5.10.0"), Some(true));
        assert_eq!(ok("custom"), None);
        assert_eq!(version(&Err(nix::errno::Errno::EFAULT)).ok, None);
    }

    #[test]
    fn tracefs_is_found_among_the_mounts() {
        let other = "24 30 0:22 / /proc rw,nosuid shared:12 - proc proc rw\n";
        let line = "35 24 0:12 / /sys/kernel/tracing rw,nosuid shared:15 - tracefs tracefs rw\n";
        let found = tracefs(Ok(format!("{other}{line}")));
        assert_eq!(found.found, "mounted on /sys/kernel/tracing");
        assert_eq!(tracefs(Ok(other.to_owned())).ok, Some(false));
        assert_eq!(tracefs(Ok(" - tracefs\nx".to_owned())).ok, Some(false));
        assert_eq!(tracefs(Err(io::ErrorKind::NotFound.into())).ok, None);
    }
}
