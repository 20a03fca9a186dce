//! Every field of [`Offsets`] that is plainly "that member of that struct".

use tracer_ebpf::Offsets;

/// Where one offset comes from, and what its absence means.
pub(super) struct Field {
    /// For messages: struct and members as in `path`.
    pub(super) name: &'static str,
    pub(super) slot: fn(&mut Offsets) -> &mut u32,
    /// The struct that the offset counts from.
    pub(super) root: &'static str,
    /// Names from there to the member.
    pub(super) path: &'static [&'static str],
    /// What the programs load, bytes. Another width would be another meaning.
    pub(super) width: u32,
    /// `None`: nothing can be counted without it.
    pub(super) without: Option<&'static str>,
}

/// A table of `offset = struct.member.member, bytes [, what is lost without it];`
macro_rules! fields {
    ($($slot:ident = $root:ident $(. $member:ident)+, $width:literal $(, $without:expr)?;)+) => {
        &[$(Field {
            name: concat!(stringify!($root) $(, ".", stringify!($member))+),
            slot: |offsets| &mut offsets.$slot,
            root: stringify!($root),
            path: &[$(stringify!($member)),+],
            width: $width,
            without: fields!(@ $($without)?),
        }),+]
    };
    (@) => { None };
    (@ $without:expr) => { Some($without) };
}

const NO_V6: &str = "connections over IPv6 are not traced";
const NO_OWNER: &str = "a flow's process is not found through its socket: only owners seen while they opened it are named";
const NO_DUE: &str = "tail loss probes and timeouts are distinguished less surely";
const NO_ZERO_WINDOW: &str = "probes of a closed window count as timeouts";
const NO_RTO: &str = "the retransmission timeout is not shown";
const NO_BACKOFF: &str = "the timer's back-off is not shown";
const NO_RTT: &str = "the round-trip time is not shown";
const NO_CWND: &str = "the congestion window is not shown";
const NO_UNACKED: &str =
    "of what a tail loss probe mends, commits are charged a round trip and not its timeout";
const NO_SEQUENCE: &str = "events do not say which bytes were retransmitted";
const NO_SENT: &str =
    "of how many segments that were sent those that were retransmitted are a part is not known";
const NO_CHECKSUM: &str =
    "segments with a bad checksum are charged to no flow and no network namespace";

/// All but those that are no plain members: `icsk_ca_state`, `icsk_timeout`,
/// `socket_inode`, `cb_tcp_flags`, `retransmit_has_err`; and the control block.
pub(super) const FIELDS: &[Field] = fields! {
    skc_daddr = sock.__sk_common.skc_daddr, 4;
    skc_rcv_saddr = sock.__sk_common.skc_rcv_saddr, 4;
    skc_v6_daddr = sock.__sk_common.skc_v6_daddr, 16, NO_V6;
    skc_v6_rcv_saddr = sock.__sk_common.skc_v6_rcv_saddr, 16, NO_V6;
    skc_dport = sock.__sk_common.skc_dport, 2;
    skc_num = sock.__sk_common.skc_num, 2;
    skc_family = sock.__sk_common.skc_family, 2;
    skc_state = sock.__sk_common.skc_state, 1;
    skc_net = sock.__sk_common.skc_net.net, 8;
    sk_protocol = sock.sk_protocol, 2;
    sk_socket = sock.sk_socket, 8, NO_OWNER;
    inet_sport = inet_sock.inet_sport, 2;
    icsk_pending = inet_connection_sock.icsk_pending, 1;
    icsk_rto = inet_connection_sock.icsk_rto, 4, NO_RTO;
    icsk_backoff = inet_connection_sock.icsk_backoff, 1, NO_BACKOFF;
    total_retrans = tcp_sock.total_retrans, 4;
    bytes_retrans = tcp_sock.bytes_retrans, 8;
    segs_out = tcp_sock.segs_out, 4, NO_SENT;
    srtt_us = tcp_sock.srtt_us, 4, NO_RTT;
    snd_cwnd = tcp_sock.snd_cwnd, 4, NO_CWND;
    packets_out = tcp_sock.packets_out, 4, NO_UNACKED;
    snd_wnd = tcp_sock.snd_wnd, 4, NO_ZERO_WINDOW;
    tlp_high_seq = tcp_sock.tlp_high_seq, 4, NO_DUE;
    snd_nxt = tcp_sock.snd_nxt, 4, NO_DUE;
    skb_head = sk_buff.head, 8, NO_CHECKSUM;
    skb_network_header = sk_buff.network_header, 2, NO_CHECKSUM;
    skb_transport_header = sk_buff.transport_header, 2, NO_CHECKSUM;
    skb_refdst = sk_buff._skb_refdst, 8, NO_CHECKSUM;
    dst_dev = dst_entry.dev, 8, NO_CHECKSUM;
    dev_net = net_device.nd_net.net, 8, NO_CHECKSUM;
    net_inum = net.ns.inum, 4;
};

/// Members of the control block, which TCP keeps in `sk_buff.cb`: their offsets
/// count from `struct sk_buff`.
pub(super) const CONTROL_BLOCK: &[Field] = fields! {
    cb_seq = tcp_skb_cb.seq, 4, NO_SEQUENCE;
    cb_end_seq = tcp_skb_cb.end_seq, 4, NO_SEQUENCE;
    cb_gso_segs = tcp_skb_cb.tcp_gso_segs, 2;
};

/// Without `icsk_timeout`.
pub(super) const NO_TIMEOUT: &str = NO_DUE;
/// Without `socket_inode`.
pub(super) const NO_INODE: &str = NO_OWNER;
