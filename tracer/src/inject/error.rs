//! Why a fault could not be made.

pub(crate) mod guard;
pub(crate) mod refusal;

use std::io;

use caps::Capability::CAP_NET_ADMIN;
use thiserror::Error;

use crate::inject::AssignmentError;
use crate::kernel::preflight::why_forbidden;
use crate::kernel::tc::Handle;

pub(crate) use crate::inject::error::guard::GuardError;
pub use crate::inject::error::refusal::Refusal;

/// Why there is no fault. Nothing was changed, or what was is undone.
#[derive(Debug, Error)]
pub enum InjectError {
    /// It would have been dangerous.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No engine can do it.
    #[error(transparent)]
    Impossible(#[from] AssignmentError),
    /// Without a peer everything would be hit.
    #[error(
        "a fault needs at least one peer: name it with --peer, or hit everybody with --allow-whole-interface and --interface"
    )]
    NoPeer,
    /// More than a kernel map holds.
    #[error("{given} {what} given for one fault; it takes at most {most}")]
    TooMany {
        /// Peers or ports.
        what: &'static str,
        /// How many there are.
        given: usize,
        /// How many there may be.
        most: usize,
    },
    /// The peer has no address that a route could be asked for.
    #[error("peer {peer} is reached by no interface in particular; name one with --interface")]
    NoInterface {
        /// The peer as given.
        peer: String,
    },
    /// The kernel has no route.
    #[error(
        "cannot find the interface that leads to peer {peer}: {error}; check the route, or name the interface with --interface"
    )]
    Route {
        /// The peer as given.
        peer: String,
        /// The kernel's answer.
        error: io::Error,
    },
    /// Packets to one peer leave by several interfaces.
    #[error(
        "peer {peer} is reached by several interfaces ({}){}, and a fault is on one: it would spare what takes another; name one with --interface, and make a fault on each",
        interfaces.join(", "),
        if *.by_policy { ", among which policy rules (`ip rule`) choose" } else { "" }
    )]
    SeveralWays {
        /// The peer as given.
        peer: String,
        /// Names of the interfaces.
        interfaces: Vec<String>,
        /// Whether a policy rule chooses among them.
        by_policy: bool,
    },
    /// A link-local address is one on each interface.
    #[error(
        "peer {peer} is link-local, and each of the interfaces {} may have one of this address; say which, as in {}, or with --interface",
        interfaces.join(", "),
        zoned(.peer, .interfaces)
    )]
    NoZone {
        /// The peer as given.
        peer: String,
        /// Names of the interfaces.
        interfaces: Vec<String>,
    },
    /// A zone that does not exist here.
    #[error(
        "peer {peer}: there is no interface {zone} in this network namespace ({error}); `ip link` lists those there are"
    )]
    Zone {
        /// The peer as given.
        peer: String,
        /// Its zone.
        zone: String,
        /// The kernel's answer.
        error: io::Error,
    },
    /// A zone and an option that say different things.
    #[error("peer {peer} is on {zone}, and --interface names {interface}; leave out one of them")]
    OtherZone {
        /// The peer as given.
        peer: String,
        /// The interface of its zone.
        zone: String,
        /// The interface of the option.
        interface: String,
    },
    /// One fault is on one interface.
    #[error(
        "peers are reached by different interfaces ({first}, {second}), and a fault is on one; name it with --interface, or make two faults"
    )]
    TwoInterfaces {
        /// The first peer's.
        first: String,
        /// Another's.
        second: String,
    },
    /// The interface does not exist here.
    #[error(
        "there is no interface {name} in this network namespace ({error}); `ip link` lists those there are"
    )]
    Interface {
        /// As given.
        name: String,
        /// The kernel's answer.
        error: io::Error,
    },
    /// The routes could not be read, so the gateway is not known.
    #[error(
        "cannot read the routes to find the default gateway: {0}; without it the fault might hit the gateway unnoticed"
    )]
    Gateways(io::Error),
    /// The offloads could not be read or set.
    #[error(
        "cannot {doing} the offloads of {interface}: {error}; a checksum corrupted on a device that computes it is repaired, so the fault is refused{}",
        why_forbidden(error, &[CAP_NET_ADMIN])
    )]
    Offloads {
        /// `read` or `switch off`.
        doing: &'static str,
        /// Whose.
        interface: String,
        /// The kernel's answer.
        error: io::Error,
    },
    /// The device always computes checksums.
    #[error(
        "interface {interface} keeps {} on: it would repair every checksum that the fault corrupts, so the fault is refused; use another interface on the path",
        features.join(", ")
    )]
    FixedOffloads {
        /// Whose.
        interface: String,
        /// Which stay on.
        features: Vec<String>,
    },
    /// Somebody else changes it at the same time.
    #[error(
        "the offloads, queueing disciplines or filters of {interface} changed while the fault was being made, so what to restore is not certain; try again"
    )]
    Moved {
        /// Whose.
        interface: String,
    },
    /// The kernel does not say what is there.
    #[error("cannot read the queueing disciplines of {interface}: {error}")]
    Queues {
        /// Whose.
        interface: String,
        /// The kernel's answer.
        error: io::Error,
    },
    /// Somebody's queueing discipline is where ours would be.
    #[error(
        "interface {interface} has the queueing discipline {kind} {handle}, {}",
        if *.ours {
            "which a fault of tracer has left behind: remove it with `tracer clean`"
        } else {
            "which is not tracer's to replace: make the fault elsewhere, or remove it (`tc qdisc show`)"
        }
    )]
    ForeignQdisc {
        /// Whose.
        interface: String,
        /// Its kind.
        kind: String,
        /// Its handle.
        handle: Handle,
        /// Whether it bears our handle.
        ours: bool,
    },
    /// Nothing is in front of the first.
    #[error(
        "interface {interface} has a filter with priority 1, in front of which there is no place for the fault's; see `tc filter show`"
    )]
    NoPriority {
        /// Whose.
        interface: String,
    },
    /// The kernel did not take a part of the fault.
    #[error("cannot add {what} to {interface}: {}", refused(.error))]
    Queue {
        /// Which part.
        what: &'static str,
        /// Where.
        interface: String,
        /// The kernel's answer.
        error: io::Error,
    },
    /// The kernel's netem has no seed.
    #[error("this kernel's netem takes no seed; leave out --seed, or use Linux 6.6 or newer")]
    NoSeed,
    /// There would be nobody to undo the fault.
    #[error("no fault without its guard, the process that undoes it if tracer is killed: {reason}")]
    Guard {
        /// What is wrong with the guard.
        reason: String,
    },
    /// The kernel is too old.
    #[error("this kernel cannot attach a TCX program ({0}); it needs Linux 6.6 or newer")]
    NoTcx(io::Error),
    /// The program could not be loaded or attached.
    #[error("cannot {doing} the fault's kernel program: {reason}")]
    Program {
        /// `load`, `configure` or `attach`.
        doing: &'static str,
        /// Why, with the verifier's or the kernel's words.
        reason: String,
    },
}

/// How the peer may be written, on the first of the interfaces.
fn zoned(peer: &str, interfaces: &[String]) -> String {
    let zone = interfaces.first().map_or("eth0", String::as_str);
    match peer.split_once('/') {
        Some((address, length)) => format!("{address}%{zone}/{length}"),
        None => format!("{peer}%{zone}"),
    }
}

/// The kernel's answer, and what it means.
fn refused(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT) => {
            "this kernel has none; `tracer check` says which faults work here".to_owned()
        }
        Some(libc::EEXIST) => "somebody else has just put one there; try again".to_owned(),
        _ => format!("{error}{}", why_forbidden(error, &[CAP_NET_ADMIN])),
    }
}

impl From<GuardError> for InjectError {
    fn from(error: GuardError) -> Self {
        Self::Guard {
            reason: error.to_string(),
        }
    }
}
