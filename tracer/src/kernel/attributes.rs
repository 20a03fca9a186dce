//! Attributes of a netlink message: a kind, a length, a value, one after the other.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use netlink_packet_core::{NlaBuffer, NlasIterator};

/// `struct nlmsghdr`, which every message begins with.
pub(super) const NETLINK_HEADER: usize = 16;

/// Each of them, up to the first that is not whole.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    // What follows half an attribute cannot be read.
    NlasIterator::new(bytes).map_while(Result::ok)
}

/// A string that ends with NUL, or with the value.
pub(super) fn text(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next();
    String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
}

/// A number in this machine's order; [`None`] if the value is shorter.
pub(super) fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().copied().map(u32::from_ne_bytes)
}

/// One attribute with its padding, for tests of what reads them.
#[cfg(test)]
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (4 + value.len()) as u16;
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
