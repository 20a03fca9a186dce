//! Where the running kernel keeps the fields that the programs read.

/// Marks a field that this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// Byte offsets of kernel struct members, resolved from
/// `/sys/kernel/btf/vmlinux` before the programs are loaded and frozen as
/// read-only data: the verifier sees constants and removes what a kernel lacks.
///
/// Offsets of members of the socket types count from the start of `struct
/// sock`, which every socket type embeds at offset 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// `sock_common.skc_daddr`, big endian.
    pub skc_daddr: u32,
    /// `sock_common.skc_rcv_saddr`, big endian.
    pub skc_rcv_saddr: u32,
    /// `sock_common.skc_v6_daddr`; [`ABSENT`] without IPv6.
    pub skc_v6_daddr: u32,
    /// `sock_common.skc_v6_rcv_saddr`; [`ABSENT`] without IPv6.
    pub skc_v6_rcv_saddr: u32,
    /// `sock_common.skc_dport`, big endian.
    pub skc_dport: u32,
    /// `sock_common.skc_num`, host order.
    pub skc_num: u32,
    /// `sock_common.skc_family`.
    pub skc_family: u32,
    /// `sock_common.skc_state`.
    pub skc_state: u32,
    /// `sock_common.skc_net.net`.
    pub skc_net: u32,
    /// `sock.sk_protocol`, 16 bits wide.
    pub sk_protocol: u32,
    /// `sock.sk_socket`.
    pub sk_socket: u32,
    /// `socket_alloc.vfs_inode.i_ino`, counted from `struct socket`.
    pub socket_inode: u32,
    /// `inet_sock.inet_sport`, big endian; survives the release of the port.
    pub inet_sport: u32,
    /// `inet_connection_sock.icsk_pending`.
    pub icsk_pending: u32,
    /// Byte that holds `inet_connection_sock.icsk_ca_state`.
    pub icsk_ca_state: u32,
    /// Right shift that brings `icsk_ca_state` to bit 0 of that byte.
    pub icsk_ca_state_shift: u32,
    /// Mask of `icsk_ca_state` after the shift.
    pub icsk_ca_state_mask: u32,
    /// `inet_connection_sock.icsk_rto`, jiffies.
    pub icsk_rto: u32,
    /// `inet_connection_sock.icsk_backoff`, 8 bits wide.
    pub icsk_backoff: u32,
    /// When the pending timer is due, jiffies: `icsk_timeout`, or the expiry of
    /// the timer itself where that field is gone; [`ABSENT`] if neither is found.
    pub icsk_timeout: u32,
    /// `tcp_sock.total_retrans`.
    pub total_retrans: u32,
    /// `tcp_sock.bytes_retrans`.
    pub bytes_retrans: u32,
    /// `tcp_sock.segs_out`.
    pub segs_out: u32,
    /// `tcp_sock.srtt_us`, in eighths of a microsecond.
    pub srtt_us: u32,
    /// `tcp_sock.snd_cwnd`.
    pub snd_cwnd: u32,
    /// `tcp_sock.packets_out`.
    pub packets_out: u32,
    /// `tcp_sock.snd_wnd`.
    pub snd_wnd: u32,
    /// `tcp_sock.tlp_high_seq`.
    pub tlp_high_seq: u32,
    /// `tcp_sock.snd_nxt`.
    pub snd_nxt: u32,
    /// `tcp_skb_cb.seq`, counted from `struct sk_buff`.
    pub cb_seq: u32,
    /// `tcp_skb_cb.end_seq`, likewise.
    pub cb_end_seq: u32,
    /// `tcp_skb_cb.tcp_flags`, likewise.
    pub cb_tcp_flags: u32,
    /// Width of `tcp_skb_cb.tcp_flags` in bytes: 1, or 2 since Linux 6.16.
    pub cb_tcp_flags_size: u32,
    /// `tcp_skb_cb.tcp_gso_segs`, 16 bits, likewise counted from `sk_buff`.
    pub cb_gso_segs: u32,
    /// `sk_buff.head`.
    pub skb_head: u32,
    /// `sk_buff.network_header`, 16 bits, counted from `head`.
    pub skb_network_header: u32,
    /// `sk_buff.transport_header`, likewise.
    pub skb_transport_header: u32,
    /// `sk_buff._skb_refdst`, whose lowest bit is a flag.
    pub skb_refdst: u32,
    /// `dst_entry.dev`.
    pub dst_dev: u32,
    /// `net_device.nd_net.net`.
    pub dev_net: u32,
    /// `net.ns.inum`.
    pub net_inum: u32,
    /// 1 if `tcp_retransmit_skb` has the argument `err` (Linux 6.17, and what
    /// distributions backported), else 0.
    pub retransmit_has_err: u32,
}

impl Offsets {
    /// Every field [`ABSENT`]: what the object file holds before the loader
    /// puts the real values in.
    pub const UNRESOLVED: Self = Self {
        skc_daddr: ABSENT,
        skc_rcv_saddr: ABSENT,
        skc_v6_daddr: ABSENT,
        skc_v6_rcv_saddr: ABSENT,
        skc_dport: ABSENT,
        skc_num: ABSENT,
        skc_family: ABSENT,
        skc_state: ABSENT,
        skc_net: ABSENT,
        sk_protocol: ABSENT,
        sk_socket: ABSENT,
        socket_inode: ABSENT,
        inet_sport: ABSENT,
        icsk_pending: ABSENT,
        icsk_ca_state: ABSENT,
        icsk_ca_state_shift: ABSENT,
        icsk_ca_state_mask: ABSENT,
        icsk_rto: ABSENT,
        icsk_backoff: ABSENT,
        icsk_timeout: ABSENT,
        total_retrans: ABSENT,
        bytes_retrans: ABSENT,
        segs_out: ABSENT,
        srtt_us: ABSENT,
        snd_cwnd: ABSENT,
        packets_out: ABSENT,
        snd_wnd: ABSENT,
        tlp_high_seq: ABSENT,
        snd_nxt: ABSENT,
        cb_seq: ABSENT,
        cb_end_seq: ABSENT,
        cb_tcp_flags: ABSENT,
        cb_tcp_flags_size: ABSENT,
        cb_gso_segs: ABSENT,
        skb_head: ABSENT,
        skb_network_header: ABSENT,
        skb_transport_header: ABSENT,
        skb_refdst: ABSENT,
        dst_dev: ABSENT,
        dev_net: ABSENT,
        net_inum: ABSENT,
        retransmit_has_err: ABSENT,
    };
}

const _: () = assert!(size_of::<Offsets>() == 42 * 4);

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]` struct of `u32` only.
    unsafe impl aya::Pod for super::Offsets {}
}
