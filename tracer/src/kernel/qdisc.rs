//! Whether the kernel has a queueing discipline or a classifier: by adding it.
//!
//! Nothing else tells: most are modules, which the kernel loads when somebody
//! first asks for one. So ask where nobody is disturbed
//! ([`super::netns::in_private`]); all of it goes with that namespace.

use std::io;

use netlink_packet_core::{DefaultNla, Emitable, NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcHandle, TcMessage},
};
use nix::net::if_::if_nametoindex;

use super::rtnetlink::exchange;

const TCA_OPTIONS: u16 = 2;
const TCA_BPF_OPS_LEN: u16 = 4;
const TCA_BPF_OPS: u16 = 5;
/// `htons(ETH_P_ALL)` and priority 1, as `tcm_info` holds them.
const EVERY_PROTOCOL: u32 = 1 << 16 | 0x0003_u16.to_be() as u32;
/// `ret #0`, a classic BPF program that matches nothing (`struct sock_filter`).
const MATCH_NOTHING: [u8; 8] = [0x06, 0, 0, 0, 0, 0, 0, 0];

const CLSACT: TcHandle = TcHandle {
    major: 0xffff,
    minor: 0xfff1,
};
const CLSACT_EGRESS: TcHandle = TcHandle {
    major: 0xffff,
    minor: 0xfff3,
};
/// Of what is at the root one after the other: the kernel takes the same handle
/// for a change of the same discipline.
const FIRST: TcHandle = TcHandle { major: 1, minor: 0 };
const SECOND: TcHandle = TcHandle { major: 2, minor: 0 };
const NONE: TcHandle = TcHandle { major: 0, minor: 0 };

/// What the kernel said to each; [`io::ErrorKind::NotFound`] where it has none.
#[derive(Debug)]
pub struct Qdiscs {
    /// Loses, delays, duplicates and reorders packets.
    pub netem: io::Result<()>,
    /// Keeps packets apart by classes.
    pub prio: io::Result<()>,
    /// Tells packets apart by a BPF program.
    pub bpf_classifier: io::Result<()>,
}

/// Adds each of them to the interface, in place of what is there: call it where
/// that is nobody's.
///
/// # Errors
/// If there is no such interface.
pub fn try_on(interface: &str) -> io::Result<Qdiscs> {
    let index = i32::try_from(if_nametoindex(interface)?).map_err(io::Error::other)?;
    let root = TcHandle::ROOT;
    let netem = add(index, "netem", root, FIRST, &netem_options());
    let prio = add(index, "prio", root, SECOND, &prio_options());
    // A filter needs a queueing discipline that takes some; most kernels have
    // this one, whatever becomes of the others.
    let parent = match add(index, "clsact", CLSACT, NONE, &[]) {
        Ok(()) => CLSACT_EGRESS,
        Err(_) => SECOND,
    };
    Ok(Qdiscs {
        netem,
        prio,
        bpf_classifier: classify(index, parent),
    })
}

fn add(
    index: i32,
    kind: &str,
    parent: TcHandle,
    handle: TcHandle,
    options: &[u8],
) -> io::Result<()> {
    let mut message = about(index, kind, parent, options);
    message.header.handle = handle;
    exchange(
        RouteNetlinkMessage::NewQueueDiscipline(message),
        NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE,
        |_| (),
    )
}

fn classify(index: i32, parent: TcHandle) -> io::Result<()> {
    let program = [
        DefaultNla::new(TCA_BPF_OPS_LEN, 1_u16.to_ne_bytes().to_vec()),
        DefaultNla::new(TCA_BPF_OPS, MATCH_NOTHING.to_vec()),
    ];
    let program = program.as_slice();
    let mut options = vec![0; program.buffer_len()];
    program.emit(&mut options);
    let mut message = about(index, "bpf", parent, &options);
    message.header.info = EVERY_PROTOCOL;
    exchange(
        RouteNetlinkMessage::NewTrafficFilter(message),
        NLM_F_ACK | NLM_F_CREATE,
        |_| (),
    )
}

fn about(index: i32, kind: &str, parent: TcHandle, options: &[u8]) -> TcMessage {
    let mut message = TcMessage::default();
    message.header.index = index;
    message.header.parent = parent;
    message.attributes = vec![TcAttribute::Kind(kind.to_owned())];
    if !options.is_empty() {
        let options = DefaultNla::new(TCA_OPTIONS, options.to_vec());
        message.attributes.push(TcAttribute::Other(options));
    }
    message
}

/// `struct tc_netem_qopt`: latency, limit, loss, gap, duplicate, jitter.
fn netem_options() -> Vec<u8> {
    [0_u32, 1000, 0, 0, 0, 0]
        .into_iter()
        .flat_map(u32::to_ne_bytes)
        .collect()
}

/// `struct tc_prio_qopt`: three bands, and the one of each of 16 priorities.
fn prio_options() -> Vec<u8> {
    let mut options = 3_i32.to_ne_bytes().to_vec();
    options.extend([0; 16]);
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::netns::in_private;

    /// The kernel says yes, or that it has none; anything else would mean that
    /// the question was wrong.
    #[test]
    fn the_kernel_understands_every_question() {
        let qdiscs = in_private(|| try_on("lo"))
            .expect("this test makes a network namespace: run it as root")
            .expect("lo");
        for (name, answer) in [
            ("netem", qdiscs.netem),
            ("prio", qdiscs.prio),
            ("bpf", qdiscs.bpf_classifier),
        ] {
            if let Err(error) = answer {
                assert_eq!(error.kind(), io::ErrorKind::NotFound, "{name}: {error}");
            }
        }
    }
}
