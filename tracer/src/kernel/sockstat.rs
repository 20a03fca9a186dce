//! How many TCP sockets a network namespace has: enough to size tables by,
//! without listing them.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::fs;

/// TCP sockets in use in the calling thread's network namespace, listeners
/// included, of both families; 0 where the kernel does not say.
#[must_use]
pub(crate) fn tcp_in_use() -> u32 {
    let count = |path: &str, prefix| {
        fs::read_to_string(path)
            .ok()
            .and_then(|text| in_use(&text, prefix))
    };
    let ipv4 = count("/proc/thread-self/net/sockstat", "TCP:");
    let ipv6 = count("/proc/thread-self/net/sockstat6", "TCP6:");
    ipv4.unwrap_or(0).saturating_add(ipv6.unwrap_or(0))
}

/// The number after `inuse` in the line that starts with `prefix`.
pub(crate) fn in_use(text: &str, prefix: &str) -> Option<u32> {
    let line = text.lines().find_map(|line| line.strip_prefix(prefix))?;
    let mut words = line.split_ascii_whitespace();
    words.find(|word| *word == "inuse")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_in_use_is_found_by_its_name() {
        let text =
            "sockets: used 143\nTCP: inuse 27 orphan 1 tw 3 alloc 31 mem 2\nUDP: inuse 4 mem 1\n";
        assert_eq!(in_use(text, "TCP:"), Some(27));
        assert_eq!(in_use(text, "TCP6:"), None);
        assert_eq!(in_use("TCP: inuse", "TCP:"), None);
    }
}
