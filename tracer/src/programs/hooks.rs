//! Where the kernel programs hang, and which of them may be missing.

/// One kernel program and the tracepoint it hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProgramHook {
    /// Name of both.
    pub(crate) name: &'static str,
    /// What is lost without it; `None` if nothing works without it.
    pub(crate) consequence: Option<&'static str>,
}

/// All hooks, in the order they are attached: the counting one last, so that by
/// then births and deaths of sockets are followed.
pub(crate) const HOOKS: [ProgramHook; 6] = [
    ProgramHook {
        name: "inet_sock_set_state",
        consequence: None,
    },
    ProgramHook {
        name: "tcp_retransmit_synack",
        consequence: Some("retransmitted SYN-ACKs are not counted"),
    },
    ProgramHook {
        name: "tcp_bad_csum",
        consequence: Some("segments received with a bad checksum are not counted"),
    },
    ProgramHook {
        name: "tcp_send_reset",
        consequence: Some("resets sent are not counted"),
    },
    ProgramHook {
        name: "tcp_receive_reset",
        consequence: Some("resets received are not counted"),
    },
    ProgramHook {
        name: "tcp_retransmit_skb",
        consequence: None,
    },
];
