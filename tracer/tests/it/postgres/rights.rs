//! What is missing, where `--commits` may not: never what is held.

use tracer::kernel::uprobes::{self, Answer};
use xtask::testbed::netns::{Host, Net};
use xtask::testbed::postgres::{Alone, Programs};

use crate::postgres::commits::{ALL, INSERT, QUIET, check, pid};
use crate::postgres::watched::{Seen, Watched};
use crate::support::rights::{TRACING, root_with};

/// Runs it as root that may trace, and has no more than these beside.
fn with(host: &Host, more: &[&str], alone: &Alone) -> Seen {
    let way = root_with(&[&TRACING[..], more].concat());
    let mut tool = Watched::by(host, &way, ALL, &[]);
    tool.await_line(&["commits: "]);
    alone.server().connect().unwrap().query(INSERT).unwrap();
    tool.finish()
}

fn reason(seen: &Seen) -> &str {
    seen.commits().reason.as_deref().unwrap_or("counted")
}

#[test]
fn only_what_is_missing_is_named() {
    assert_eq!(uprobes::ask(), Answer::Allowed, "as root");
    let net = Net::pair("pgrights", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let alone = Alone::start_with(&Programs::own().unwrap(), host, QUIET).unwrap();

    let seen = with(host, &["sys_ptrace", "sys_admin"], &alone);
    assert_eq!(check(&seen, pid(alone.server())), 1, "{}", reason(&seen));

    // Whether that suffices, the kernel decides.
    let seen = with(host, &["sys_ptrace"], &alone);
    let reason = match seen.commits().attached {
        true => {
            assert_eq!(check(&seen, pid(alone.server())), 1);
            None
        }
        false => Some(reason(&seen)),
    };
    if let Some(reason) = reason {
        assert!(
            reason.contains("CAP_PERFMON is not enough for uprobes on this kernel: CAP_SYS_ADMIN is missing; run it with sudo"),
            "{reason}"
        );
        assert!(!reason.contains("CAP_SYS_PTRACE"), "{reason}");
    }

    // Whose processes they are, it cannot say then.
    let seen = with(host, &["sys_admin"], &alone);
    let reason = self::reason(&seen);
    assert!(
        reason.contains("CAP_SYS_PTRACE is missing; run it with sudo"),
        "{reason}"
    );
    assert!(
        !reason.contains("CAP_SYS_ADMIN") && !reason.contains("CAP_PERFMON"),
        "{reason}"
    );
}
