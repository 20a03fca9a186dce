//! A policy rule: which packets look into which table.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::NLM_F_DUMP;

use crate::kernel::attributes::{NETLINK_HEADER, attributes, word};
use crate::kernel::rtnetlink::exchange_unknown;

const RTM_GETRULE: u16 = 34;
/// `struct fib_rule_hdr`.
const HEADER: usize = 12;
const FRA_DST: u16 = 1;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_PAD: u16 = 18;
const FRA_L3MDEV: u16 = 19;
const FRA_PROTOCOL: u16 = 21;
const FR_ACT_TO_TBL: u8 = 1;
const FR_ACT_GOTO: u8 = 2;
const FR_ACT_NOP: u8 = 3;
const FIB_RULE_INVERT: u32 = 2;
/// `RT_TABLE_DEFAULT`, `RT_TABLE_MAIN` and `RT_TABLE_LOCAL`.
const DEFAULT: u32 = 253;
const MAIN: u32 = 254;
const LOCAL: u32 = 255;

/// One of them, in the order in which the kernel asks them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) priority: u32,
    pub(super) action: Action,
    /// To whom the packets go; [`None`] for everybody.
    pub(super) to: Option<IpNet>,
    /// Whether it is for some packets to them alone: by their mark, port, user, source
    /// and so on.
    pub(super) conditional: bool,
    /// Routes with a prefix of this length or less do not count.
    pub(super) suppressed: Option<u8>,
}

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Look into this table.
    Table(u32),
    /// Look into the table of the device at hand (`l3mdev`).
    AnyTable,
    /// Go nowhere.
    Stop,
    /// Ask the next rules.
    Skip,
}

/// Every rule of the family, in order; the kernel's own where it has no others.
pub(super) fn all(family: u8) -> io::Result<Vec<Rule>> {
    let mut header = [0; HEADER];
    header[0] = family;
    let mut rules = Vec::new();
    let asked = exchange_unknown(RTM_GETRULE, NLM_F_DUMP, &header, |bytes| {
        let rule = Rule::parse(bytes)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "half a policy rule"))?;
        rules.push(rule);
        Ok(())
    });
    match asked {
        // Built without them (CONFIG_IP_MULTIPLE_TABLES).
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT)
            ) =>
        {
            return Ok(vec![Rule::plain(0, LOCAL), Rule::plain(1, MAIN)]);
        }
        asked => asked?,
    }
    // The kernel keeps the order among equals.
    rules.sort_by_key(|rule| rule.priority);
    Ok(rules)
}

/// Whether it is a table that every host has.
pub(super) const fn is_usual(table: u32) -> bool {
    matches!(table, DEFAULT | MAIN | LOCAL)
}

impl Rule {
    const fn plain(priority: u32, table: u32) -> Self {
        Self {
            priority,
            action: Action::Table(table),
            to: None,
            conditional: false,
            suppressed: None,
        }
    }

    /// From one whole message; [`None`] if that is not long enough.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let header = message.get(NETLINK_HEADER..)?;
        let byte = |at: usize| header.get(at).copied();
        let (family, length, table, action) = (byte(0)?, byte(1)?, byte(4)?, byte(7)?);
        let flags = word(header.get(8..)?)?;
        let mut rule = Self::plain(0, table.into());
        // A length of the source's prefix, a type of service.
        rule.conditional = byte(2)? != 0 || byte(3)? != 0 || flags & FIB_RULE_INVERT != 0;
        let mut by_device = false;
        for attribute in attributes(header.get(HEADER..)?) {
            let value = attribute.value();
            match attribute.kind() {
                FRA_DST => rule.to = Some(net(family, value, length)?),
                FRA_PRIORITY => rule.priority = word(value)?,
                FRA_TABLE => rule.action = Action::Table(word(value)?),
                // Minus one is none.
                FRA_SUPPRESS_PREFIXLEN => rule.suppressed = u8::try_from(word(value)?).ok(),
                FRA_L3MDEV => by_device = value.first() != Some(&0),
                FRA_PROTOCOL | FRA_PAD | FRA_GOTO => {}
                // Marks, users, ports, devices, and what a later kernel may add.
                _ => rule.conditional = true,
            }
        }
        rule.action = match action {
            FR_ACT_TO_TBL if by_device => Action::AnyTable,
            FR_ACT_TO_TBL => rule.action,
            // What it would leave out is taken for asked as well.
            FR_ACT_GOTO | FR_ACT_NOP => Action::Skip,
            _ => Action::Stop,
        };
        rule.conditional |= by_device;
        // Not those is all others.
        if flags & FIB_RULE_INVERT != 0 {
            rule.to = None;
        }
        Some(rule)
    }

    /// Whether it is for any packet to the peer.
    pub(super) fn may_apply(&self, peer: IpNet) -> bool {
        self.to
            .is_none_or(|to| to.contains(&peer) || peer.contains(&to))
    }

    /// Whether it is for every packet to the peer.
    pub(super) fn applies_to_all(&self, peer: IpNet) -> bool {
        !self.conditional && self.to.is_none_or(|to| to.contains(&peer))
    }
}

/// A destination of that family, as rules and routes have it.
pub(super) fn net(family: u8, address: &[u8], length: u8) -> Option<IpNet> {
    let address: IpAddr = match i32::from(family) {
        libc::AF_INET => Ipv4Addr::from(*address.first_chunk::<4>()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(*address.first_chunk::<16>()?).into(),
        _ => return None,
    };
    IpNet::new(address, length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::attributes::attribute;

    fn message(destination: u8, table: u8, action: u8, flags: u32) -> Vec<u8> {
        let mut bytes = vec![0; NETLINK_HEADER];
        bytes.extend([libc::AF_INET as u8, destination, 0, 0, table, 0, 0, action]);
        bytes.extend(flags.to_ne_bytes());
        bytes
    }

    #[test]
    fn the_kernels_own_rule_is_for_all() {
        let mut bytes = message(0, 254, FR_ACT_TO_TBL, 0);
        bytes.extend(attribute(FRA_TABLE, &254_u32.to_ne_bytes()));
        bytes.extend(attribute(FRA_SUPPRESS_PREFIXLEN, &u32::MAX.to_ne_bytes()));
        bytes.extend(attribute(FRA_PROTOCOL, &[2]));
        bytes.extend(attribute(FRA_PRIORITY, &32_766_u32.to_ne_bytes()));
        assert_eq!(Rule::parse(&bytes), Some(Rule::plain(32_766, 254)));
        assert_eq!(Rule::parse(&bytes[..24]), None);
    }

    #[test]
    fn what_is_not_known_is_a_condition() {
        for (kind, value) in [(10, 7_u32), (20, 0), (250, 1)] {
            let mut bytes = message(0, 100, FR_ACT_TO_TBL, 0);
            bytes.extend(attribute(kind, &value.to_ne_bytes()));
            assert!(Rule::parse(&bytes).unwrap().conditional, "{kind}");
        }
        let inverted = Rule::parse(&message(0, 100, FR_ACT_TO_TBL, FIB_RULE_INVERT)).unwrap();
        assert!(inverted.conditional);
    }

    #[test]
    fn a_rule_by_destination_is_for_those() {
        let mut bytes = message(8, 100, FR_ACT_TO_TBL, 0);
        bytes.extend(attribute(FRA_DST, &[10, 0, 0, 0]));
        let rule = Rule::parse(&bytes).unwrap();
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        assert!(rule.applies_to_all(net("10.1.0.0/16")));
        assert!(rule.may_apply(net("0.0.0.0/0")) && !rule.applies_to_all(net("0.0.0.0/0")));
        assert!(!rule.may_apply(net("192.0.2.1/32")));
    }
}
