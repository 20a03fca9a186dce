//! A flow's counters in a third of their room: there may be a hundred thousand flows, and most
//! of what can be counted of one was not.

use tracer_ebpf::Flow;

use crate::recording::varint;

const _: () = assert!(Flow::WORDS <= u32::BITS as usize);

/// Counters and last readings of a flow, without its ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PackedFlow(Box<[u8]>);

impl PackedFlow {
    /// Takes all but the ends.
    pub(super) fn of(flow: &Flow) -> Self {
        let flow = Flow {
            tuple: tracer_ebpf::Tuple::default(),
            ..*flow
        };
        let words = flow.to_words();
        let used = words.iter().enumerate().filter(|(_, word)| **word != 0);
        let used = used.fold(0u64, |used, (place, _)| used | 1 << place);
        let mut bytes = Vec::with_capacity(96);
        varint::put(&mut bytes, used);
        for word in words.into_iter().filter(|word| *word != 0) {
            varint::put(&mut bytes, word);
        }
        Self(bytes.into())
    }

    /// As it was, but for the ends.
    pub(super) fn unpacked(&self) -> Flow {
        let mut rest = &self.0[..];
        let used = varint::take(&mut rest);
        let mut words = [0; Flow::WORDS];
        for (place, word) in words.iter_mut().enumerate() {
            if used & 1 << place != 0 {
                *word = varint::take(&mut rest);
            }
        }
        Flow::from_words(words)
    }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::{Owner, RetransmitKind, Tuple};

    use super::*;

    #[test]
    fn what_is_packed_is_what_was() {
        assert_eq!(PackedFlow::default().unpacked(), Flow::default());
        let mut flow = Flow {
            events: u64::MAX,
            last_ns: 1_700_000_000_000_000_000,
            inode: 4_000_000_000,
            owner: Owner {
                pid: 4_194_304,
                comm: *b"postgres\0\0\0\0\0\0\0\0",
                ..Owner::default()
            },
            srtt_us: 1,
            backoff_max: u32::MAX,
            ..Flow::default()
        };
        flow.segments[RetransmitKind::Tlp as usize] = 3;
        flow.segments[RetransmitKind::Other as usize] = 300;
        assert_eq!(PackedFlow::of(&flow).unpacked(), flow);
        let with_ends = Flow {
            tuple: Tuple {
                local_port: 5432,
                ..Tuple::default()
            },
            ..flow
        };
        assert_eq!(PackedFlow::of(&with_ends).unpacked(), flow);
    }
}
