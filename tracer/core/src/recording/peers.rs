//! The far ends of a server's replication connections, as the server names them.

use std::collections::HashMap;
use std::net::IpAddr;

/// One end of a replication connection, as the server names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationPeer {
    /// Process on the server.
    pub pid: u32,
    /// What the other side is called.
    pub name: String,
    /// Whether the server sends on it.
    pub sends: bool,
}

/// The far ends of the server's replication connections.
pub type Peers = HashMap<(IpAddr, u16), ReplicationPeer>;
