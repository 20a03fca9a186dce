//! What each gap costs today, and what closes it: all of these words in one place,
//! to be changed with what the tool can do.

use crate::kernel::pidns;

/// A gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shortfall<T = &'static str> {
    /// What is lost.
    pub(super) consequence: T,
    /// What to do about it.
    pub(super) remedy: T,
}

pub(super) const SUDO: &str = "run it with sudo";
const NEWER_KERNEL: &str = "a newer kernel";

pub(super) const OLD_KERNEL: Shortfall = Shortfall {
    consequence: "`tracer run` refuses to start",
    remedy: NEWER_KERNEL,
};
pub(super) const BTF: Shortfall = Shortfall {
    consequence: "`tracer run` does not start: without BTF it cannot find the fields of sockets",
    remedy: "boot a kernel built with CONFIG_DEBUG_INFO_BTF, as those of Debian 11, Ubuntu 20.10, RHEL 8.2 and later are; in a container, make sure first that /sys is mounted",
};
pub(super) const BTF_UNREADABLE: Shortfall = Shortfall {
    consequence: BTF.consequence,
    remedy: SUDO,
};
pub(super) const REQUIRED_FIELD: Shortfall = Shortfall {
    consequence: "`tracer run` does not start: no retransmit can be counted without it",
    remedy: "please report this with the output of `uname -r`",
};
/// What it costs, each field says itself.
pub(super) const FIELD_REMEDY: &str = "none but another kernel; everything else works. Please report it with the output of `uname -r`";
pub(super) const PROCESSES: Shortfall = Shortfall {
    consequence: "processes outside are not named with their flows, and servers outside are not found: no `--commits`, no roles by their processes",
    remedy: pidns::REMEDY,
};
pub(super) const FAILURES: Shortfall = Shortfall {
    consequence: "calls that failed on this host are not distinguished; their segments are counted all the same",
    remedy: "Linux 6.17 or newer; the count needs none",
};

pub(super) const SOCKET_TABLE: Shortfall = Shortfall {
    consequence: "if far more sockets retransmit at once than there were at the start, what has no room is counted only when its socket closes or at the end, as of kind `other`",
    remedy: "Linux 5.11 or newer, which lets tracing programs keep it in the socket",
};

pub(super) const MAY_LOAD: Shortfall = Shortfall {
    consequence: "`tracer run` does not start: it may not load its kernel programs",
    remedy: SUDO,
};
pub(super) const MAY_LOAD_IN_CONTAINER: Shortfall = Shortfall {
    consequence: MAY_LOAD.consequence,
    remedy: "run it as the host's root: the kernel takes no programs from within a user namespace",
};
pub(super) const MAY_NAME: Shortfall = Shortfall {
    consequence: "processes of other users are not named with their flows, unless they were seen opening the connection; their servers' commits are not split (--commits)",
    remedy: SUDO,
};
pub(super) const MAY_ENTER: Shortfall = Shortfall {
    consequence: "no other network namespace can be traced (--netns)",
    remedy: SUDO,
};
pub(super) const MAY_INJECT: Shortfall = Shortfall {
    consequence: "no fault can be made (`tracer inject`)",
    remedy: SUDO,
};

/// For programs that nothing works without.
pub(super) const REQUIRED_PROGRAM: &str =
    "`tracer run` does not start: nothing is counted without it";
pub(super) const NO_TRACEPOINT_REMEDY: &str = "a newer kernel; everything else works";
pub(super) const REFUSED_PROGRAM_REMEDY: &str = "a security module, a container's seccomp filter or kernel lockdown (/sys/kernel/security/lockdown) can forbid it; if none does, please report it with the output of `uname -r`";
pub(super) const PROGRAMS: Shortfall = Shortfall {
    consequence: "`tracer run` does not start",
    remedy: "before Linux 5.11 raise the limit of locked memory with `ulimit -l unlimited` (sudo may); a container's seccomp filter can forbid bpf(2), too",
};

pub(super) const FAULT_PROGRAM: Shortfall = Shortfall {
    consequence: "no fault can be made",
    remedy: REFUSED_PROGRAM_REMEDY,
};
pub(super) const TCX: Shortfall = Shortfall {
    consequence: "faults hang on a filter instead, which the guard removes if tracer is killed",
    remedy: "Linux 6.6 or newer has links that the kernel itself removes; counting needs none of it",
};
pub(super) const CLSACT: Shortfall = Shortfall {
    consequence: "without TCX, corrupt, loss and partition cannot be made by a program",
    remedy: "a kernel with CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF",
};
const FAULT_BY_QUEUE: &str =
    "delay, duplicate, reorder and rate cannot be made, nor anything with --engine netem";
pub(super) const NETEM: Shortfall = Shortfall {
    consequence: FAULT_BY_QUEUE,
    remedy: "a kernel with CONFIG_NET_SCH_NETEM (on RHEL and Fedora: the package kernel-modules-extra)",
};
pub(super) const PRIO: Shortfall = Shortfall {
    consequence: FAULT_BY_QUEUE,
    remedy: "a kernel with CONFIG_NET_SCH_PRIO",
};
pub(super) const BPF_CLASSIFIER: Shortfall = Shortfall {
    consequence: FAULT_BY_QUEUE,
    remedy: "a kernel with CONFIG_NET_CLS_BPF",
};

pub(super) const NETNS: Shortfall = Shortfall {
    consequence: "`tracer run` cannot trace there",
    remedy: "name one that `ip netns list` shows, or a path such as /proc/PID/ns/net",
};
pub(super) const NETNS_FORBIDDEN: Shortfall = Shortfall {
    consequence: NETNS.consequence,
    remedy: SUDO,
};
pub(super) const INTERFACE: Shortfall = Shortfall {
    consequence: "no fault can be made there (`tracer inject`)",
    remedy: "check the route with `ip route get`, or name one of the interfaces that `ip link` shows with --interface",
};
pub(super) const FIXED_OFFLOADS: Shortfall = Shortfall {
    consequence: "a fault there is refused: the device would repair every checksum that it corrupts",
    remedy: "use another interface on the path, with --interface",
};
pub(super) const LOOPBACK: Shortfall = Shortfall {
    consequence: "a fault there is refused: nobody computes the checksums of loopback",
    remedy: "name a peer on another host or in another network namespace; what does not corrupt can be allowed with --allow-loopback",
};
pub(super) const WHOLE_INTERFACE: Shortfall = Shortfall {
    consequence: "a fault toward it is refused: it would hit everybody",
    remedy: "name the peer alone, or allow it with --allow-whole-interface",
};
pub(super) const GATEWAY: Shortfall = Shortfall {
    consequence: "a fault toward it is refused: it would break more than the peer",
    remedy: "name the peer alone, or allow it with --allow-gateway",
};
pub(super) const SSH_PEER: Shortfall = Shortfall {
    consequence: "a fault toward it is refused: it would lock you out",
    remedy: "come from elsewhere, or allow it with --allow-ssh-peer",
};

const NO_ATTRIBUTION: &str = "`tracer run --commits` cannot say what commits of a server here waited for; everything else works";
/// What helps, was found with it.
pub(super) const UPROBES_FORBIDDEN: &str = NO_ATTRIBUTION;
pub(super) const UPROBES: Shortfall = Shortfall {
    consequence: NO_ATTRIBUTION,
    remedy: "a kernel with CONFIG_UPROBE_EVENTS",
};
pub(super) const STAGES: Shortfall = Shortfall {
    consequence: "of a wait for a standby it is known how long it took, and not where (--commits)",
    remedy: "PostgreSQL 13 to 18 with the symbols that its packages have, and root",
};
pub(super) const RECEIVED: Shortfall = Shortfall {
    consequence: "of WAL that arrives at a standby it is not known where it takes its time (--commits on the standby)",
    remedy: "a server as PostgreSQL's own packages have it, on x86-64, and root",
};
pub(super) const SYMBOLS: Shortfall = Shortfall {
    consequence: NO_ATTRIBUTION,
    remedy: "a server built as PostgreSQL's own packages are, which export their functions",
};

pub(super) const HOOKS: Shortfall = Shortfall {
    consequence: "what rests on that function is not measured, and the report says so (--commits)",
    remedy: "a server built without link-time optimisation, as PostgreSQL's own packages are",
};

pub(super) const TRACEFS: Shortfall = Shortfall {
    consequence: "none for tracer; bpftrace and perf need it",
    remedy: "mount -t tracefs tracefs /sys/kernel/tracing",
};
