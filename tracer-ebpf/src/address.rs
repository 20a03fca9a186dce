//! Addresses in the form that everything shares.

/// `::ffff:a.b.c.d` of an IPv4 address in network order.
///
/// Made of words: of bytes the compiler makes a loop, which the kernel's verifier follows
/// round by round, and which runs at each hit.
#[inline(always)]
#[must_use]
pub const fn mapped(address: [u8; 4]) -> [u8; 16] {
    let words = [
        0,
        0,
        u32::from_ne_bytes([0, 0, 0xff, 0xff]),
        u32::from_ne_bytes(address),
    ];
    // SAFETY: any bytes are both.
    unsafe { core::mem::transmute::<[u32; 4], [u8; 16]>(words) }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, Ipv6Addr};

    use super::mapped;

    #[test]
    fn an_address_is_mapped_as_everywhere() {
        let address = Ipv4Addr::new(10, 0, 200, 255);
        assert_eq!(
            Ipv6Addr::from(mapped(address.octets())),
            address.to_ipv6_mapped()
        );
    }
}
