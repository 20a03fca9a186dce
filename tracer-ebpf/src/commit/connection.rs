//! The TCP connection of the process that runs.

use aya_ebpf::helpers::bpf_get_current_task;
use tracer_ebpf::{ServerLayout, Tuple, mapped};

use crate::maps::stage_offset;
use crate::stages::{kernel, user};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const IPPROTO_TCP: u16 = 6;
/// No process has as many files open.
const MAX_DESCRIPTOR: u32 = 1 << 20;
const POINTER: u32 = 8;

/// Of a walsender: that of `MyProcPort->sock`, which is the first member of `struct Port`
/// (<https://github.com/postgres/postgres/blob/REL_15_STABLE/src/include/libpq/libpq-be.h>).
#[inline(always)]
pub(crate) fn of_walsender(layout: &ServerLayout) -> Option<u64> {
    let port = user::<u64>(layout.my_proc_port).filter(|port| *port != 0)?;
    of_descriptor(user(port)?)
}

/// The address of the `struct sock` behind a file descriptor; [`None`] if it is not TCP's.
#[inline(always)]
pub(crate) fn of_descriptor(descriptor: u32) -> Option<u64> {
    if descriptor >= MAX_DESCRIPTOR {
        return None;
    }
    // SAFETY: a helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    let files = kernel::<u64>(task, stage_offset!(task_files))?;
    let table = kernel::<u64>(files, stage_offset!(files_fdt))?;
    let list = kernel::<u64>(table, stage_offset!(fdt_fd))?;
    let file = kernel::<u64>(list, descriptor * POINTER)?;
    let socket = kernel::<u64>(file, stage_offset!(file_private))?;
    let sock = kernel::<u64>(socket, stage_offset!(socket_sk))?;
    let family = kernel::<u16>(sock, stage_offset!(skc_family))?;
    let protocol = kernel::<u16>(sock, stage_offset!(sk_protocol))?;
    let is_tcp = (family == AF_INET || family == AF_INET6) && protocol == IPPROTO_TCP;
    is_tcp.then_some(sock)
}

/// The ends of a connection.
#[inline(always)]
pub(crate) fn tuple(sock: u64) -> Option<Tuple> {
    let net = kernel::<u64>(sock, stage_offset!(skc_net))?;
    let family = kernel::<u16>(sock, stage_offset!(skc_family))?;
    let (local, remote) = if family == AF_INET {
        (
            mapped(kernel(sock, stage_offset!(skc_rcv_saddr))?),
            mapped(kernel(sock, stage_offset!(skc_daddr))?),
        )
    } else {
        (
            kernel(sock, stage_offset!(skc_v6_rcv_saddr))?,
            kernel(sock, stage_offset!(skc_v6_daddr))?,
        )
    };
    Some(Tuple {
        local,
        remote,
        local_port: kernel(sock, stage_offset!(skc_num))?,
        remote_port: u16::from_be(kernel(sock, stage_offset!(skc_dport))?),
        netns: kernel(net, stage_offset!(net_inum))?,
    })
}
