//! From a process to its TCP connection, and what is read of that.

use std::io;

use tracer_ebpf::StageOffsets;

use crate::kernel::btf::{Btf, RunningBtf, TypeName};
use crate::kernel::offsets::member::{self, damaged};

const STRUCTS: [&str; 10] = [
    "task_struct",
    "files_struct",
    "fdtable",
    "file",
    "socket",
    "sock",
    "net",
    "tcp_sock",
    "tcp_skb_cb",
    "sk_buff",
];

/// Finds them in the running kernel's BTF.
///
/// # Errors
/// If there is none, it cannot be understood, or a member is not what it was.
pub fn of_stages() -> io::Result<StageOffsets> {
    resolve(&RunningBtf::open()?)
}

pub(super) fn resolve(btf: &[u8]) -> io::Result<StageOffsets> {
    let btf = Btf::parse(btf, &STRUCTS.map(TypeName::Struct)).map_err(damaged)?;
    let offset = |holder, path: &[&str], width| member::offset(&btf, holder, path, Some(width));
    let common = |name: &str, width| offset("sock", &["__sk_common", name], width);
    // As long as it has been since 2.6.
    let block = offset("sk_buff", &["cb"], 48)?;
    let control =
        |name: &str| Ok::<_, io::Error>(block.saturating_add(offset("tcp_skb_cb", &[name], 4)?));
    Ok(StageOffsets {
        task_files: offset("task_struct", &["files"], 8)?,
        files_fdt: offset("files_struct", &["fdt"], 8)?,
        fdt_fd: offset("fdtable", &["fd"], 8)?,
        file_private: offset("file", &["private_data"], 8)?,
        socket_sk: offset("socket", &["sk"], 8)?,
        sk_protocol: offset("sock", &["sk_protocol"], 2)?,
        skc_family: common("skc_family", 2)?,
        skc_daddr: common("skc_daddr", 4)?,
        skc_rcv_saddr: common("skc_rcv_saddr", 4)?,
        skc_v6_daddr: common("skc_v6_daddr", 16)?,
        skc_v6_rcv_saddr: common("skc_v6_rcv_saddr", 16)?,
        skc_dport: common("skc_dport", 2)?,
        skc_num: common("skc_num", 2)?,
        skc_net: offset("sock", &["__sk_common", "skc_net", "net"], 8)?,
        net_inum: offset("net", &["ns", "inum"], 4)?,
        write_seq: offset("tcp_sock", &["write_seq"], 4)?,
        snd_una: offset("tcp_sock", &["snd_una"], 4)?,
        rcv_nxt: offset("tcp_sock", &["rcv_nxt"], 4)?,
        copied_seq: offset("tcp_sock", &["copied_seq"], 4)?,
        cb_seq: control("seq")?,
        cb_end_seq: control("end_seq")?,
        cb_ack_seq: control("ack_seq")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_all() {
        let found = of_stages().unwrap();
        assert_eq!(found.cb_end_seq, found.cb_seq + 4);
        assert!(found.cb_ack_seq > found.cb_end_seq);
        assert!(found.task_files > 0 && found.write_seq > found.skc_num);
    }

    #[test]
    fn what_is_no_btf_is_an_error() {
        assert!(resolve(b"").is_err());
    }
}
