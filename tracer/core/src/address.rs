//! Addresses as people write them and as the kernel programs know them.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// An address as people write it: `::ffff:a.b.c.d` is IPv4.
#[must_use]
pub fn canonical(address: Ipv6Addr) -> IpAddr {
    IpAddr::V6(address).to_canonical()
}

/// A prefix as the kernel programs know it: 16 bytes and a length of at most 128.
#[must_use]
pub fn prefix(net: &IpNet) -> ([u8; 16], u32) {
    match net {
        IpNet::V4(net) => (
            net.network().to_ipv6_mapped().octets(),
            96 + u32::from(net.prefix_len()),
        ),
        IpNet::V6(net) => (net.network().octets(), u32::from(net.prefix_len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_place_ipv4_under_the_mapped_range() {
        let (address, length) = prefix(&"10.0.10.0/24".parse().unwrap());
        assert_eq!(length, 120);
        assert_eq!(
            address,
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 10, 0]
        );
    }
}
