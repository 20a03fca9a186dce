//! Whether the kernel has a queueing discipline or a classifier: by adding it.
//!
//! Nothing else tells: most are modules, which the kernel loads when somebody
//! first asks for one. So ask where nobody is disturbed
//! ([`crate::kernel::netns::in_private`]); all of it goes with that namespace.

use std::io;

use netlink_packet_core::{DefaultNla, Emitable, NLM_F_ACK, NLM_F_CREATE};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use nix::net::if_::if_nametoindex;

use crate::kernel::rtnetlink::exchange;
use crate::kernel::tc::{Handle, Netem, Place, prio_options, replace_qdisc};

const TCA_OPTIONS: u16 = 2;
const TCA_BPF_OPS_LEN: u16 = 4;
const TCA_BPF_OPS: u16 = 5;
/// `htons(ETH_P_ALL)` and priority 1, as `tcm_info` holds them.
const EVERY_PROTOCOL: u32 = 1 << 16 | 0x0003_u16.to_be() as u32;
/// `ret #0`, a classic BPF program that matches nothing (`struct sock_filter`).
const MATCH_NOTHING: [u8; 8] = [0x06, 0, 0, 0, 0, 0, 0, 0];

/// Of what is at the root one after the other: the kernel takes the same handle
/// for a change of the same discipline.
const FIRST: Handle = Handle::major(1);
const SECOND: Handle = Handle::major(2);

/// What the kernel said to each; [`io::ErrorKind::NotFound`] where it has none.
#[derive(Debug)]
pub(crate) struct Qdiscs {
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
pub(crate) fn try_on(interface: &str) -> io::Result<Qdiscs> {
    let interface = if_nametoindex(interface)?;
    let put = |kind, parent, handle, options: &[u8]| {
        let place = Place {
            interface,
            parent,
            handle,
        };
        replace_qdisc(place, kind, options)
    };
    let netem = Netem {
        limit: 1000,
        ..Netem::default()
    };
    let netem = put("netem", Handle::ROOT, FIRST, &netem.options());
    let prio = put("prio", Handle::ROOT, SECOND, &prio_options(3));
    // A filter needs a queueing discipline that takes some; most kernels have
    // this one, whatever becomes of the others.
    let parent = match put("clsact", Handle::CLSACT, Handle::NONE, &[]) {
        Ok(()) => Handle::EGRESS,
        Err(_) => SECOND,
    };
    Ok(Qdiscs {
        netem,
        prio,
        bpf_classifier: classify(interface, parent),
    })
}

fn classify(interface: u32, parent: Handle) -> io::Result<()> {
    let program = [
        DefaultNla::new(TCA_BPF_OPS_LEN, 1_u16.to_ne_bytes().to_vec()),
        DefaultNla::new(TCA_BPF_OPS, MATCH_NOTHING.to_vec()),
    ];
    let program = program.as_slice();
    let mut options = vec![0; program.buffer_len()];
    program.emit(&mut options);
    let index = i32::try_from(interface).map_err(io::Error::other)?;
    let mut message = TcMessage::with_index(index);
    message.header.parent = TcHandle::from(parent.0);
    message.header.info = EVERY_PROTOCOL;
    message.attributes = vec![
        TcAttribute::Kind("bpf".to_owned()),
        TcAttribute::Other(DefaultNla::new(TCA_OPTIONS, options)),
    ];
    exchange(
        RouteNetlinkMessage::NewTrafficFilter(message),
        NLM_F_ACK | NLM_F_CREATE,
        |_| (),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::netns::in_private;

    /// The kernel says yes, or that it has none; anything else would mean that
    /// the question was wrong.
    #[test]
    fn the_kernel_understands_every_question_as_root() {
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
