//! The kernel's counters of a namespace.

/// Finds a counter in the text of `/proc/net/snmp` or `netstat`: a line of
/// names, then one of values, both beginning with the group's name.
pub(super) fn parse(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix(group)?.strip_prefix(": "));
    let (names, values) = (lines.next()?, lines.next()?);
    let place = names.split(' ').position(|column| column == name)?;
    values.split(' ').nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_stands_below_its_name() {
        let text = "Ip: A B\nIp: 1 2\nTcp: A InCsumErrors\nTcp: 3 4\n";
        assert_eq!(parse(text, "Tcp", "InCsumErrors"), Some(4));
        assert_eq!(parse(text, "Tcp", "B"), None);
        assert_eq!(parse(text, "TcpExt", "A"), None);
    }
}
