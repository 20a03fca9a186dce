//! A queueing discipline or a filter, as the kernel tells of it.

use crate::kernel::attributes::{NETLINK_HEADER, attributes, text};
use crate::kernel::tc::Handle;

/// `struct tcmsg`.
const TC_HEADER: usize = 20;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_STATS2: u16 = 7;
const TCA_STATS_BASIC: u16 = 1;
const TCA_STATS_QUEUE: u16 = 3;

/// What `tc qdisc show` or `tc filter show` shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Index of its interface.
    pub interface: u32,
    /// Its own name; [`Handle::NONE`] of a discipline that the kernel put there
    /// by itself.
    pub handle: Handle,
    /// What it hangs on.
    pub parent: Handle,
    /// Of a filter: priority in the upper half, protocol in the lower.
    pub info: u32,
    /// `prio`, `netem`, `bpf` and so on.
    pub kind: String,
    /// Its settings, in the kernel's encoding.
    pub options: Vec<u8>,
    /// What it did, where it counts.
    pub stats: Option<Stats>,
}

/// Counters of a queueing discipline (`struct gnet_stats_basic` and
/// [`gnet_stats_queue`](https://github.com/torvalds/linux/blob/v6.18/include/uapi/linux/gen_stats.h)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes that left it.
    pub bytes: u64,
    /// Packets that left it.
    pub packets: u32,
    /// Packets that wait in it.
    pub queued: u32,
    /// Packets that it dropped.
    pub drops: u32,
    /// Packets put back; netem counts here what it sent out of order.
    pub requeues: u32,
}

impl Object {
    /// From one whole message; [`None`] if that is not long enough.
    #[must_use]
    pub fn parse(message: &[u8]) -> Option<Self> {
        let header = message.get(NETLINK_HEADER..)?;
        let word = |at: usize| Some(u32::from_ne_bytes(*header.get(at..)?.first_chunk()?));
        let mut object = Self {
            interface: word(4)?,
            handle: Handle(word(8)?),
            parent: Handle(word(12)?),
            info: word(16)?,
            kind: String::new(),
            options: Vec::new(),
            stats: None,
        };
        for attribute in attributes(header.get(TC_HEADER..)?) {
            match attribute.kind() {
                TCA_KIND => object.kind = text(attribute.value()),
                TCA_OPTIONS => object.options = attribute.value().to_vec(),
                TCA_STATS2 => object.stats = Stats::parse(attribute.value()),
                _ => {}
            }
        }
        Some(object)
    }

    /// Of a filter.
    #[must_use]
    pub const fn priority(&self) -> u16 {
        (self.info >> 16) as u16
    }

    /// The value of one attribute of the options that begin at `offset`.
    #[must_use]
    pub fn option(&self, offset: usize, kind: u16) -> Option<Vec<u8>> {
        attributes(self.options.get(offset..)?)
            .find(|attribute| attribute.kind() == kind)
            .map(|attribute| attribute.value().to_vec())
    }

    /// Of a filter that is a BPF program: the name that it was given.
    #[must_use]
    pub fn bpf_name(&self) -> Option<String> {
        if self.kind != "bpf" {
            return None;
        }
        self.option(0, crate::kernel::tc::TCA_BPF_NAME)
            .map(|name| text(&name))
    }
}

impl Stats {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut stats = Self::default();
        for attribute in attributes(bytes) {
            let value = attribute.value();
            let word = |at: usize| Some(u32::from_ne_bytes(*value.get(at..)?.first_chunk()?));
            match attribute.kind() {
                TCA_STATS_BASIC => {
                    stats.bytes = u64::from_ne_bytes(*value.first_chunk()?);
                    stats.packets = word(8)?;
                }
                TCA_STATS_QUEUE => {
                    stats.queued = word(0)?;
                    stats.drops = word(8)?;
                    stats.requeues = word(12)?;
                }
                _ => {}
            }
        }
        Some(stats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::attributes::attribute;

    #[test]
    fn a_discipline_with_what_it_did() {
        let words = |words: &[u32]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_ne_bytes()).collect()
        };
        let basic = [&1500_u64.to_ne_bytes()[..], &words(&[3, 0])].concat();
        let stats = [
            attribute(TCA_STATS_BASIC, &basic),
            attribute(TCA_STATS_QUEUE, &words(&[1, 1500, 7, 5, 0])),
        ]
        .concat();
        let message = [
            vec![0; NETLINK_HEADER],
            words(&[0, 9, 0x7473_0000, 0x7472_0004, 0]),
            attribute(TCA_KIND, b"netem\0"),
            attribute(TCA_OPTIONS, &[1, 2, 3, 4]),
            attribute(TCA_STATS2, &stats),
        ]
        .concat();
        let object = Object::parse(&message).unwrap();
        assert_eq!((object.interface, object.kind.as_str()), (9, "netem"));
        assert_eq!(object.parent.to_string(), "7472:4");
        assert_eq!(object.options, [1, 2, 3, 4]);
        let expected = Stats {
            bytes: 1500,
            packets: 3,
            queued: 1,
            drops: 7,
            requeues: 5,
        };
        assert_eq!(object.stats, Some(expected));
    }

    #[test]
    fn half_a_message_is_none() {
        assert_eq!(Object::parse(&[0; 30]), None);
        let cut = [vec![0; 36], vec![200, 0, 1, 0, b'x']].concat();
        assert_eq!(Object::parse(&cut).unwrap().kind, "");
    }
}
