//! Whose packets a fault is for.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use thiserror::Error;

/// An address or a network, and where it is if that has to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Which addresses.
    pub net: IpNet,
    /// The interface that a link-local address is on, by its name or its index: the
    /// same address may be on each. It says where a fault is made; packets and flows
    /// are known by their addresses alone.
    pub zone: Option<String>,
}

/// Why the text names no peer. A mistake on the command line: exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PeerError {
    #[error(
        "--peer `{0}` is neither an IP address nor a CIDR; try `--peer 10.0.10.2` or `--peer 10.0.10.0/24`"
    )]
    Peer(String),
    /// A CIDR has bits set beyond its prefix: probably a typing error.
    #[error(
        "--peer `{given}` has bits beyond its prefix; did you mean `{network}`, or `{address}` alone?"
    )]
    HostBits {
        given: String,
        network: IpNet,
        address: IpAddr,
    },
    #[error(
        "--peer `{0}` has no interface behind its %; write the one that leads to it, as in fe80::1%eth0"
    )]
    NoZone(String),
    #[error(
        "--peer `{given}` has a zone, and only link-local addresses (fe80::/10) have one; leave out %{zone}, and say --interface {zone} if the fault is to be there"
    )]
    UselessZone { given: String, zone: String },
}

impl Peer {
    /// Whether each interface has its own addresses of this kind.
    #[must_use]
    pub fn is_link_local(&self) -> bool {
        matches!(self.net, IpNet::V6(net) if net.addr().is_unicast_link_local() && net.prefix_len() >= 10)
    }

    /// Without a zone.
    fn parse_net(given: &str, text: &str) -> Result<IpNet, PeerError> {
        let wrong = || PeerError::Peer(given.to_owned());
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(IpNet::from(address.to_canonical()));
        }
        let net: IpNet = text.parse().map_err(|_| wrong())?;
        if net.addr() != net.network() {
            return Err(PeerError::HostBits {
                given: given.to_owned(),
                network: net.trunc(),
                address: net.addr(),
            });
        }
        match net {
            IpNet::V6(mapped) if mapped.prefix_len() >= 96 => {
                match mapped.addr().to_ipv4_mapped() {
                    Some(address) => {
                        let length = mapped.prefix_len().saturating_sub(96);
                        IpNet::new(address.into(), length).map_err(|_| wrong())
                    }
                    None => Ok(net),
                }
            }
            _ => Ok(net),
        }
    }
}

/// An address or a CIDR; IPv4-mapped addresses are IPv4. A link-local one may have a
/// zone as RFC 4007 writes it: `fe80::1%eth0`, `fe80::%eth0/64`.
impl FromStr for Peer {
    type Err = PeerError;

    fn from_str(given: &str) -> Result<Self, PeerError> {
        let Some((address, rest)) = given.split_once('%') else {
            let net = Self::parse_net(given, given)?;
            return Ok(Self { net, zone: None });
        };
        let (zone, length) = match rest.split_once('/') {
            Some((zone, length)) => (zone, format!("/{length}")),
            None => (rest, String::new()),
        };
        let net = Self::parse_net(given, &format!("{address}{length}"))?;
        if zone.is_empty() {
            return Err(PeerError::NoZone(given.to_owned()));
        }
        let zone = zone.to_owned();
        let peer = Self {
            net,
            zone: Some(zone.clone()),
        };
        if !peer.is_link_local() {
            let given = given.to_owned();
            return Err(PeerError::UselessZone { given, zone });
        }
        Ok(peer)
    }
}

/// As typed: an address without the length of its prefix.
impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.net.addr())?;
        if let Some(zone) = &self.zone {
            write!(formatter, "%{zone}")?;
        }
        if self.net.prefix_len() == self.net.max_prefix_len() {
            return Ok(());
        }
        write!(formatter, "/{}", self.net.prefix_len())
    }
}

impl From<IpNet> for Peer {
    fn from(net: IpNet) -> Self {
        Self { net, zone: None }
    }
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        IpNet::from(address).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Result<String, String> {
        let peer = text.parse::<Peer>().map_err(|error| error.to_string())?;
        Ok(peer.net.to_string())
    }

    #[test]
    fn peers_are_addresses_and_prefixes_of_both_families() {
        assert_eq!(net("10.0.10.2").unwrap(), "10.0.10.2/32");
        assert_eq!(net("10.0.10.0/24").unwrap(), "10.0.10.0/24");
        assert_eq!(net("fd00:10::2").unwrap(), "fd00:10::2/128");
        assert_eq!(net("::ffff:10.0.10.2").unwrap(), "10.0.10.2/32");
        assert_eq!(net("::ffff:10.0.10.0/120").unwrap(), "10.0.10.0/24");
        assert_eq!(net("::/0").unwrap(), "::/0");
    }

    #[test]
    fn a_peer_that_makes_no_sense_is_named_with_a_remedy() {
        for wrong in [
            "",
            "db1",
            "10.0.10",
            "10.0.10.2/33",
            "10.0.10.2:5432",
            "fd00::/129",
        ] {
            let message = net(wrong).unwrap_err();
            assert!(message.contains(&format!("`{wrong}`")), "{message}");
        }
        let message = net("10.0.10.2/24").unwrap_err();
        assert!(
            message.contains("10.0.10.0/24") && message.contains("`10.0.10.2` alone"),
            "{message}"
        );
    }

    #[test]
    fn a_zone_stands_behind_a_link_local_address() {
        for text in [
            "fe80::1%eth0",
            "fe80::%eth0/64",
            "fe80::1%2",
            "fe80::1",
            "10.0.0.0/8",
        ] {
            let peer: Peer = text.parse().unwrap();
            assert_eq!(peer.to_string(), text);
        }
        let peer: Peer = "fe80::1%ens160".parse().unwrap();
        assert_eq!(peer.net.to_string(), "fe80::1/128");
        assert_eq!(peer.zone.as_deref(), Some("ens160"));
        assert!(peer.is_link_local());
        assert_eq!("fe80::/64%eth0".parse(), "fe80::%eth0/64".parse::<Peer>());
        assert!(!Peer::from("fd00::1".parse::<IpAddr>().unwrap()).is_link_local());
    }

    #[test]
    fn a_zone_that_means_nothing_is_named() {
        for (text, words) in [
            ("fe80::1%", "no interface behind its %"),
            ("10.0.0.1%eth0", "leave out %eth0"),
            ("fd00::1%eth0", "leave out %eth0"),
            ("db1%eth0", "neither an IP address nor a CIDR"),
            ("::/0%eth0", "leave out %eth0"),
        ] {
            let error = text.parse::<Peer>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
