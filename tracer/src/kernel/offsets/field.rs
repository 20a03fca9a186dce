//! Every field of [`Offsets`] that is plainly "that member of that struct".

use tracer_ebpf::Offsets;

/// Where one offset comes from, and what its absence means.
pub(super) struct Field {
    /// For messages: the C expression, as in the contract.
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

macro_rules! field {
    ($slot:ident, $name:literal, $root:literal, $path:expr, $width:literal) => {
        field!(@ $slot, $name, $root, $path, $width, None)
    };
    ($slot:ident, $name:literal, $root:literal, $path:expr, $width:literal, $without:expr) => {
        field!(@ $slot, $name, $root, $path, $width, Some($without))
    };
    (@ $slot:ident, $name:literal, $root:literal, $path:expr, $width:literal, $without:expr) => {
        Field {
            name: $name,
            slot: |offsets| &mut offsets.$slot,
            root: $root,
            path: &$path,
            width: $width,
            without: $without,
        }
    };
}

const COMMON: &str = "__sk_common";
const NO_V6: &str = "connections over IPv6 are not traced";
const NO_OWNER: &str = "a flow's process is not found through its socket: only owners seen while they opened it are named";
const NO_DUE: &str = "tail loss probes and timeouts are told apart less surely";
const NO_ZERO_WINDOW: &str = "probes of a closed window count as timeouts";
const NO_SEQUENCE: &str = "events do not tell which bytes were sent again";
const NO_CHECKSUM: &str =
    "segments with a bad checksum are charged to no flow and no network namespace";

/// All of them. Not here, because they are no plain members: `icsk_ca_state`,
/// `icsk_timeout`, `socket_inode`, the `cb_` offsets, `retransmit_has_err`.
pub(super) const FIELDS: &[Field] = &[
    field!(
        skc_daddr,
        "sock_common.skc_daddr",
        "sock",
        [COMMON, "skc_daddr"],
        4
    ),
    field!(
        skc_rcv_saddr,
        "sock_common.skc_rcv_saddr",
        "sock",
        [COMMON, "skc_rcv_saddr"],
        4
    ),
    field!(
        skc_v6_daddr,
        "sock_common.skc_v6_daddr",
        "sock",
        [COMMON, "skc_v6_daddr"],
        16,
        NO_V6
    ),
    field!(
        skc_v6_rcv_saddr,
        "sock_common.skc_v6_rcv_saddr",
        "sock",
        [COMMON, "skc_v6_rcv_saddr"],
        16,
        NO_V6
    ),
    field!(
        skc_dport,
        "sock_common.skc_dport",
        "sock",
        [COMMON, "skc_dport"],
        2
    ),
    field!(
        skc_num,
        "sock_common.skc_num",
        "sock",
        [COMMON, "skc_num"],
        2
    ),
    field!(
        skc_family,
        "sock_common.skc_family",
        "sock",
        [COMMON, "skc_family"],
        2
    ),
    field!(
        skc_state,
        "sock_common.skc_state",
        "sock",
        [COMMON, "skc_state"],
        1
    ),
    field!(
        skc_net,
        "sock_common.skc_net",
        "sock",
        [COMMON, "skc_net", "net"],
        8
    ),
    field!(sk_protocol, "sock.sk_protocol", "sock", ["sk_protocol"], 2),
    field!(
        sk_socket,
        "sock.sk_socket",
        "sock",
        ["sk_socket"],
        8,
        NO_OWNER
    ),
    field!(
        inet_sport,
        "inet_sock.inet_sport",
        "inet_sock",
        ["inet_sport"],
        2
    ),
    field!(
        icsk_pending,
        "inet_connection_sock.icsk_pending",
        "inet_connection_sock",
        ["icsk_pending"],
        1
    ),
    field!(
        icsk_rto,
        "inet_connection_sock.icsk_rto",
        "inet_connection_sock",
        ["icsk_rto"],
        4,
        "the retransmission timeout is not shown"
    ),
    field!(
        icsk_backoff,
        "inet_connection_sock.icsk_backoff",
        "inet_connection_sock",
        ["icsk_backoff"],
        1,
        "the timer's back-off is not shown"
    ),
    field!(
        total_retrans,
        "tcp_sock.total_retrans",
        "tcp_sock",
        ["total_retrans"],
        4
    ),
    field!(
        bytes_retrans,
        "tcp_sock.bytes_retrans",
        "tcp_sock",
        ["bytes_retrans"],
        8
    ),
    field!(
        srtt_us,
        "tcp_sock.srtt_us",
        "tcp_sock",
        ["srtt_us"],
        4,
        "the round-trip time is not shown"
    ),
    field!(
        snd_cwnd,
        "tcp_sock.snd_cwnd",
        "tcp_sock",
        ["snd_cwnd"],
        4,
        "the congestion window is not shown"
    ),
    field!(
        snd_wnd,
        "tcp_sock.snd_wnd",
        "tcp_sock",
        ["snd_wnd"],
        4,
        NO_ZERO_WINDOW
    ),
    field!(
        tlp_high_seq,
        "tcp_sock.tlp_high_seq",
        "tcp_sock",
        ["tlp_high_seq"],
        4,
        NO_DUE
    ),
    field!(
        skb_head,
        "sk_buff.head",
        "sk_buff",
        ["head"],
        8,
        NO_CHECKSUM
    ),
    field!(
        skb_network_header,
        "sk_buff.network_header",
        "sk_buff",
        ["network_header"],
        2,
        NO_CHECKSUM
    ),
    field!(
        skb_transport_header,
        "sk_buff.transport_header",
        "sk_buff",
        ["transport_header"],
        2,
        NO_CHECKSUM
    ),
    field!(skb_dev, "sk_buff.dev", "sk_buff", ["dev"], 8, NO_CHECKSUM),
    field!(
        dev_net,
        "net_device.nd_net",
        "net_device",
        ["nd_net", "net"],
        8,
        NO_CHECKSUM
    ),
    field!(net_inum, "net.ns.inum", "net", ["ns", "inum"], 4),
];

/// Members of the control block, which TCP keeps in `sk_buff.cb`: their offsets
/// count from `struct sk_buff`.
pub(super) const CONTROL_BLOCK: &[Field] = &[
    field!(
        cb_seq,
        "tcp_skb_cb.seq",
        "tcp_skb_cb",
        ["seq"],
        4,
        NO_SEQUENCE
    ),
    field!(
        cb_end_seq,
        "tcp_skb_cb.end_seq",
        "tcp_skb_cb",
        ["end_seq"],
        4,
        NO_SEQUENCE
    ),
    field!(
        cb_gso_segs,
        "tcp_skb_cb.tcp_gso_segs",
        "tcp_skb_cb",
        ["tcp_gso_segs"],
        2
    ),
];

/// Without `icsk_timeout`.
pub(super) const NO_TIMEOUT: &str = NO_DUE;
/// Without `socket_inode`.
pub(super) const NO_INODE: &str = NO_OWNER;
