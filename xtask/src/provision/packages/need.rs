//! What else has to be on this machine, and which of Debian's packages bring it.

use std::fmt;

use nix::unistd::User as SystemUser;

use self::Thing::{Program, User};
use super::{ETCD_USER, HAPROXY_USER, PROMETHEUS_USER};
use crate::testbed::command;

/// Something that has to be on the system, and the package that brings it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    pub(super) thing: Thing,
    pub(super) packages: &'static [&'static str],
    pub(super) why: &'static str,
}

/// What can be missing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Thing {
    Program(&'static str),
    /// A user of the system, by name.
    User(&'static str),
}

impl Thing {
    /// Where or what it is, if it is here.
    pub(super) fn found(self) -> Option<String> {
        match self {
            Self::Program(name) => Some(command::find(name)?.display().to_string()),
            Self::User(name) => SystemUser::from_name(name)
                .ok()?
                .map(|_| format!("user {name}")),
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Program(name) => f.write_str(name),
            Self::User(name) => write!(f, "user {name}"),
        }
    }
}

pub(super) const NEEDS: [Need; 9] = [
    Need {
        thing: Program("cc"),
        packages: &["gcc", "libc6-dev"],
        why: "links Rust programs",
    },
    Need {
        thing: Program("ip"),
        packages: &["iproute2"],
        why: "makes the lab's networks",
    },
    Need {
        thing: Program("tc"),
        packages: &["iproute2"],
        why: "shapes the lab's links",
    },
    Need {
        thing: Program("ethtool"),
        packages: &["ethtool"],
        why: "switches offloads",
    },
    Need {
        thing: Program("setpriv"),
        packages: &["util-linux"],
        why: "runs PostgreSQL as its own user",
    },
    Need {
        thing: Program("nsenter"),
        packages: &["util-linux"],
        why: "runs programs inside the lab",
    },
    Need {
        thing: Program("openssl"),
        packages: &["openssl"],
        why: "makes certificates for tests",
    },
    Need {
        thing: Program("bpftrace"),
        packages: &["bpftrace"],
        why: "is what tracer is compared with",
    },
    Need {
        thing: Program("strace"),
        packages: &["strace"],
        why: "makes a server's disk slow",
    },
];

/// For guests only: too large to install for those who never boot one.
pub(super) const GUEST_NEEDS: [Need; 6] = [
    Need {
        thing: Program("qemu-system-x86_64"),
        packages: &["qemu-system-x86"],
        why: "is the guest's machine",
    },
    Need {
        thing: Program("busybox"),
        packages: &["busybox-static"],
        why: "brings the guest up",
    },
    Need {
        thing: Program("modprobe"),
        packages: &["kmod"],
        why: "knows which kernel modules the guest needs",
    },
    Need {
        thing: Program("xz"),
        packages: &["xz-utils"],
        why: "unpacks kernel modules",
    },
    Need {
        thing: Program("zstd"),
        packages: &["zstd"],
        why: "unpacks kernel modules",
    },
    Need {
        thing: Program("setpriv"),
        packages: &["util-linux"],
        why: "ends the guest together with its caller",
    },
];

/// For the cluster only: too much for those who never run one.
pub(super) const CLUSTER_NEEDS: [Need; 11] = [
    Need {
        thing: Program("patroni"),
        packages: &["patroni", "python3-etcd", "python3-psycopg2"],
        why: "decides which database is the primary",
    },
    Need {
        thing: Program("etcd"),
        packages: &["etcd-server"],
        why: "is where Patroni keeps who leads",
    },
    Need {
        thing: Program("haproxy"),
        packages: &["haproxy"],
        why: "leads clients to the primary",
    },
    Need {
        thing: Program("unshare"),
        packages: &["util-linux"],
        why: "gives each database its own memory segments",
    },
    Need {
        thing: Program("stress-ng"),
        packages: &["stress-ng"],
        why: "keeps a host's processor busy",
    },
    Need {
        thing: Program("mkfs.ext4"),
        packages: &["e2fsprogs"],
        why: "makes a disk that can be stalled",
    },
    Need {
        thing: Program("mount"),
        packages: &["mount"],
        why: "puts that disk in its place",
    },
    Need {
        thing: Program("setsid"),
        packages: &["util-linux"],
        why: "gives programs a session of their own",
    },
    Need {
        thing: User(ETCD_USER),
        packages: &["etcd-server"],
        why: "is who etcd runs as",
    },
    Need {
        thing: User(HAPROXY_USER),
        packages: &["haproxy"],
        why: "is who HAProxy runs as",
    },
    Need {
        thing: Program("fsfreeze"),
        packages: &["util-linux"],
        why: "stalls that disk",
    },
];

/// For what is deployed: the tests of the alert rules, and the experiment with them.
pub(super) const ALERT_NEEDS: [Need; 3] = [
    Need {
        thing: Program("promtool"),
        packages: &["prometheus"],
        why: "tests the alert rules",
    },
    Need {
        thing: Program("prometheus"),
        packages: &["prometheus"],
        why: "looks at them in the lab",
    },
    Need {
        thing: User(PROMETHEUS_USER),
        packages: &["prometheus"],
        why: "is who it runs as there",
    },
];

/// For fuzzing only.
pub(super) const FUZZ_NEEDS: [Need; 1] = [Need {
    thing: Program("c++"),
    packages: &["g++"],
    why: "compiles libFuzzer",
}];

/// For the README's pictures only.
pub(super) const PICTURE_NEEDS: [Need; 2] = [
    Need {
        thing: Program("chromium"),
        packages: &["chromium", "fonts-dejavu-core"],
        why: "takes the pictures",
    },
    Need {
        thing: Program("tmux"),
        packages: &["tmux"],
        why: "is the terminal of the live view",
    },
];

/// For tests only.
pub(super) const TEST_NEEDS: [Need; 1] = [Need {
    thing: Program("pgbouncer"),
    packages: &["pgbouncer"],
    why: "stands between tracer and a database",
}];

/// The packages of what is not here; prints one line for each.
pub(super) fn missing(needs: &[Need]) -> Vec<&'static str> {
    let mut missing: Vec<&'static str> = Vec::new();
    for need in needs {
        if need.thing.found().is_none() {
            println!("missing    {} ({})", need.thing, need.why);
            missing.extend(need.packages);
        }
    }
    // A package may bring several of them.
    missing.sort_unstable();
    missing.dedup();
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_here_is_missing() {
        assert!(User("root").found().is_some());
        let need = |thing| Need {
            thing,
            packages: &["some-package"],
            why: "is for a test",
        };
        let needs = [
            need(Program("sh")),
            need(Program("no-such-program")),
            need(User("no-such-user")),
        ];
        assert_eq!(missing(&needs), ["some-package"]);
    }
}
