//! Why a fault is refused.

use std::net::IpAddr;

use ipnet::IpNet;
use thiserror::Error;

/// Why the fault is not made, and the flag that allows it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It would corrupt what nobody checks. No flag allows it.
    #[error(
        "refused: {what} is loopback, whose checksums nobody computes, so no corruption would be seen; name a peer on another host or in another network namespace"
    )]
    UncheckedLoopback {
        /// The interface or the peer.
        what: String,
    },
    /// It would hit this host's traffic with itself.
    #[error(
        "refused: {what} is loopback, so the fault would hit this host's traffic with itself; allow it with --allow-loopback"
    )]
    Loopback {
        /// The interface or the peer.
        what: String,
    },
    /// It would hit everybody.
    #[error(
        "refused: peer {peer} is every address, so the fault would hit all traffic of the interface; name the peer, or allow it with --allow-whole-interface"
    )]
    WholeInterface {
        /// The peer as given.
        peer: IpNet,
    },
    /// It would hit the router.
    #[error(
        "refused: peer {peer} covers {gateway}, the default gateway, so the fault would break more than the peer; allow it with --allow-gateway"
    )]
    Gateway {
        /// The peer as given.
        peer: IpNet,
        /// The gateway.
        gateway: IpAddr,
    },
    /// It would hit the session it is run from.
    #[error(
        "refused: peer {peer} covers {client}, where this SSH session comes from, so the fault would lock you out; allow it with --allow-ssh-peer"
    )]
    SshPeer {
        /// The peer as given.
        peer: IpNet,
        /// The client's address.
        client: IpAddr,
    },
}
