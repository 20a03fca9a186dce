//! What the sockets of a network namespace say of themselves, however many there are.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use tracer_core::address::canonical;
use tracer_core::recording::flow_table::FlowTable;
use tracer_ebpf::{Baseline, Tuple};

use crate::command::run::counter_sync::namespace::Namespace;
use crate::config::Filter;
use crate::kernel::clock::now_ns;
use crate::kernel::sockets::{self, SocketInfo, SocketsError};

/// What the sockets of a network namespace have done so far.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    /// Segments sent, by peer.
    pub(crate) sent: BTreeMap<IpAddr, u64>,
    /// What was retransmitted on those where something was.
    pub(super) retransmitted: Vec<(Tuple, Baseline)>,
}

impl Connections {
    /// Asks the kernel for them, from inside. Connections to the peers are flows even if they
    /// never retransmit.
    pub(crate) fn note(
        table: &mut FlowTable,
        filter: &Filter,
        namespace: &Namespace,
    ) -> Result<Self, SocketsError> {
        let now = now_ns();
        sockets::each(namespace.inode, None, |all: &mut Self, socket| {
            all.retransmitted.extend(baseline(socket));
            if !filter.keeps(&socket.tuple) {
                return;
            }
            if let Some(segments) = socket.segs_out {
                let peer = canonical(Ipv6Addr::from(socket.tuple.remote));
                *all.sent.entry(peer).or_default() += u64::from(segments);
            }
            let inode = u64::from(socket.inode);
            table.add_connection(socket.tuple, inode, sockets::heard_ns(socket, now));
        })
    }
}

/// What a socket had retransmitted, if anything.
fn baseline(socket: &SocketInfo) -> Option<(Tuple, Baseline)> {
    let baseline = Baseline {
        bytes: socket.bytes_retrans.unwrap_or(0),
        segments: socket.total_retrans.filter(|segments| *segments > 0)?,
        _pad: 0,
    };
    Some((socket.tuple, baseline))
}
