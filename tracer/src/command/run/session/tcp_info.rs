//! What the sockets of the replication show of the path to their peers.

use tracer_core::recording::roles;
use tracer_core::recording::tcp_info::TcpInfoSample;

use crate::command::run::counter_sync::namespace::Namespace;
use crate::command::run::session::Session;
use crate::kernel::sockets;
use crate::kernel::sockets::{Inquirer, SocketInfo};

impl Session<'_> {
    /// Reads the sockets that send or receive a server's log: there are few of them.
    pub(super) fn read_tcp_info(&mut self, at_ns: u64) {
        for entry in self.table.entries_mut() {
            let replicates = entry.process.as_deref().is_some_and(roles::replicates);
            if !replicates || entry.flow().closed_ns != 0 {
                continue;
            }
            let tuple = entry.tuple;
            let inquirer = match &mut self.inquirer {
                Some((netns, inquirer)) if *netns == tuple.netns => inquirer,
                other => {
                    let mut namespaces = self.namespaces.iter();
                    let Some(namespace) = namespaces.find(|one| one.inode == tuple.netns) else {
                        continue;
                    };
                    match converse(namespace) {
                        Ok(begun) => &mut other.insert((tuple.netns, begun)).1,
                        Err(error) => {
                            log::debug!("{error:#}");
                            continue;
                        }
                    }
                }
            };
            match inquirer.ask(&tuple) {
                Ok(Some(socket)) => {
                    let path = entry.path.get_or_insert_default();
                    path.add(reading(at_ns, &socket));
                }
                Ok(None) => {}
                // The count does not depend on it.
                Err(error) => log::debug!("{error}"),
            }
        }
    }
}

fn converse(namespace: &Namespace) -> anyhow::Result<Inquirer> {
    let _inside = namespace.enter()?;
    Ok(Inquirer::open()?)
}

/// `TCP_CA_Recovery`; beyond is `TCP_CA_Loss`.
const RECOVERY: u8 = 3;

/// From what the kernel says of a socket.
fn reading(at_ns: u64, socket: &SocketInfo) -> TcpInfoSample {
    TcpInfoSample {
        at_ns,
        // 0 before the first measurement.
        srtt_us: socket.srtt_us.filter(|us| *us > 0),
        min_rtt_us: socket.min_rtt_us,
        unacked: socket.unacked,
        recovering: socket.ca_state.map(|state| state >= RECOVERY),
        segs_in: socket.segs_in,
        heard_ns: sockets::heard_ns(socket, at_ns),
        dsack_dups: socket.dsack_dups,
        rcv_ooopack: socket.rcv_ooopack,
    }
}
