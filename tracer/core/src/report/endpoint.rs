//! The ends of a flow.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use tracer_ebpf::Tuple;

use crate::address::canonical;

/// One end of a flow.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Endpoint {
    /// Address, IPv4 where it is one.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
}

/// Both ends of a flow as people write them.
#[must_use]
pub fn endpoints(tuple: &Tuple) -> (Endpoint, Endpoint) {
    let end = |address: [u8; 16], port| Endpoint {
        address: canonical(Ipv6Addr::from(address)),
        port,
    };
    (
        end(tuple.local, tuple.local_port),
        end(tuple.remote, tuple.remote_port),
    )
}

impl Endpoint {
    /// Address and port as one.
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(end: SocketAddr) -> Self {
        Self {
            address: end.ip(),
            port: end.port(),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.socket().fmt(f)
    }
}
