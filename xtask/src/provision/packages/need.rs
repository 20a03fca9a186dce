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
    /// Debian's, with blanks between.
    packages: &'static str,
    pub(super) why: &'static str,
}

impl Need {
    pub(super) fn packages(&self) -> impl Iterator<Item = &'static str> {
        self.packages.split(' ')
    }
}

const fn program(name: &'static str, packages: &'static str, why: &'static str) -> Need {
    let thing = Program(name);
    Need {
        thing,
        packages,
        why,
    }
}

const fn user(name: &'static str, packages: &'static str, why: &'static str) -> Need {
    let thing = User(name);
    Need {
        thing,
        packages,
        why,
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Thing {
    Program(&'static str),
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

/// What belongs together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs {
    all: &'static [Need],
    /// How it comes here.
    pub(super) how: &'static str,
    /// Services that the packages bring, of which only the programs are wanted.
    pub(super) services: &'static [&'static str],
}

/// Without which nothing is built or tested.
pub(super) const BASIC: &[Need] = &[
    program("cc", "gcc libc6-dev", "links Rust programs"),
    program("ip", "iproute2", "makes the lab's networks"),
    program("tc", "iproute2", "shapes the lab's links"),
    program("ethtool", "ethtool", "switches offloads"),
    program("setpriv", "util-linux", "runs PostgreSQL as its own user"),
    program("nsenter", "util-linux", "runs programs inside the lab"),
    program("openssl", "openssl", "makes certificates for tests"),
    program("bpftrace", "bpftrace", "is what tracer is compared with"),
    program("strace", "strace", "makes a server's disk slow"),
];

pub(crate) const GUESTS: Needs = Needs {
    how: "once; large",
    services: &[],
    all: &[
        program(
            "qemu-system-x86_64",
            "qemu-system-x86",
            "is the guest's machine",
        ),
        program("busybox", "busybox-static", "brings the guest up"),
        program(
            "modprobe",
            "kmod",
            "knows which kernel modules the guest needs",
        ),
        program("xz", "xz-utils", "unpacks kernel modules"),
        program("zstd", "zstd", "unpacks kernel modules"),
        program(
            "setpriv",
            "util-linux",
            "ends the guest together with its caller",
        ),
    ],
};

pub(crate) const CLUSTER: Needs = Needs {
    how: "once",
    services: &["etcd", "haproxy", "patroni"],
    all: &[
        program(
            "patroni",
            "patroni python3-etcd python3-psycopg2",
            "decides which database is the primary",
        ),
        program("etcd", "etcd-server", "is where Patroni keeps who leads"),
        program("haproxy", "haproxy", "leads clients to the primary"),
        program(
            "unshare",
            "util-linux",
            "gives each database its own memory segments",
        ),
        program("stress-ng", "stress-ng", "keeps a host's processor busy"),
        program("mkfs.ext4", "e2fsprogs", "makes a disk that can be stalled"),
        program("mount", "mount", "puts that disk in its place"),
        program(
            "setsid",
            "util-linux",
            "gives programs a session of their own",
        ),
        user(ETCD_USER, "etcd-server", "is who etcd runs as"),
        user(HAPROXY_USER, "haproxy", "is who HAProxy runs as"),
        program("fsfreeze", "util-linux", "stalls that disk"),
    ],
};

/// What is deployed: the tests of the alert rules, and the experiment with them.
pub(crate) const ALERTS: Needs = Needs {
    how: "once",
    services: &["prometheus"],
    all: &[
        program("promtool", "prometheus", "tests the alert rules"),
        program("prometheus", "prometheus", "evaluates them in the lab"),
        user(PROMETHEUS_USER, "prometheus", "is who it runs as there"),
    ],
};

pub(crate) const FUZZING: Needs = Needs {
    how: "once",
    services: &[],
    all: &[program("c++", "g++", "compiles libFuzzer")],
};

pub(crate) const PICTURES: Needs = Needs {
    how: "once; large",
    services: &[],
    all: &[
        program(
            "chromium",
            "chromium fonts-dejavu-core",
            "takes the pictures",
        ),
        program("tmux", "tmux", "is the terminal of the live view"),
    ],
};

pub(crate) const TESTS: Needs = Needs {
    how: "once",
    services: &["pgbouncer"],
    all: &[
        program(
            "pgbouncer",
            "pgbouncer",
            "stands between tracer and a database",
        ),
        program(
            "npm",
            "npm",
            "brings PostgreSQL of versions that no release of Debian has",
        ),
    ],
};

impl Needs {
    /// The packages of what is not here; prints one line for each.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let mut missing: Vec<&'static str> = Vec::new();
        for need in self.all {
            if need.thing.found().is_none() {
                println!("missing    {} ({})", need.thing, need.why);
                missing.extend(need.packages());
            }
        }
        // A package may bring several of them.
        missing.sort_unstable();
        missing.dedup();
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_here_is_missing() {
        const SOME: Needs = Needs {
            all: &[
                program("sh", "some-package", "is for a test"),
                program("no-such-program", "some-package", "is for a test"),
                user("no-such-user", "some-package", "is for a test"),
            ],
            how: "",
            services: &[],
        };
        assert!(User("root").found().is_some());
        assert_eq!(SOME.missing(), ["some-package"]);
    }
}
