//! Which tracepoints the kernel has, and how many arguments they pass.
//!
//! Every `TRACE_EVENT(NAME)` leaves a `typedef void (*btf_trace_NAME)(void *, …)`
//! in BTF (`include/trace/bpf_probe.h`, since Linux 5.2), so what exists is known
//! without tracefs, which may be hidden, and without trusting a version number.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use crate::kernel::btf::{Btf, BtfError, TypeName};

/// A tracepoint that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracepoint {
    /// Arguments that a program receives.
    pub arguments: u32,
    /// Id of its typedef: what a `tp_btf` program attaches to.
    pub btf_id: u32,
}

/// The tracepoints that tracer has a program for; `None` if the kernel lacks it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tracepoints {
    /// `tcp_retransmit_skb(sk, skb[, err])`, Linux 4.15; `err` since 6.17.
    pub retransmit_skb: Option<Tracepoint>,
    /// `tcp_retransmit_synack(sk, req)`, Linux 4.15.
    pub retransmit_synack: Option<Tracepoint>,
    /// `inet_sock_set_state(sk, oldstate, newstate)`, Linux 4.16.
    pub set_state: Option<Tracepoint>,
    /// `tcp_bad_csum(skb)`; not in 5.10, in 6.1.
    pub bad_csum: Option<Tracepoint>,
    /// `tcp_send_reset(sk, skb[, reason])`, Linux 4.15; no `reason` in 6.1, one in
    /// 6.12.
    pub send_reset: Option<Tracepoint>,
    /// `tcp_receive_reset(sk)`, Linux 4.15.
    pub receive_reset: Option<Tracepoint>,
}

const RETRANSMIT_SKB: TypeName = TypeName::Typedef("btf_trace_tcp_retransmit_skb");
const RETRANSMIT_SYNACK: TypeName = TypeName::Typedef("btf_trace_tcp_retransmit_synack");
const SET_STATE: TypeName = TypeName::Typedef("btf_trace_inet_sock_set_state");
const BAD_CSUM: TypeName = TypeName::Typedef("btf_trace_tcp_bad_csum");
const SEND_RESET: TypeName = TypeName::Typedef("btf_trace_tcp_send_reset");
const RECEIVE_RESET: TypeName = TypeName::Typedef("btf_trace_tcp_receive_reset");

impl Tracepoints {
    /// What [`Btf::parse`] must be asked for.
    pub(super) const fn typedefs() -> [TypeName; 6] {
        [
            RETRANSMIT_SKB,
            RETRANSMIT_SYNACK,
            SET_STATE,
            BAD_CSUM,
            SEND_RESET,
            RECEIVE_RESET,
        ]
    }

    /// The tracepoint that a program is named after.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Tracepoint> {
        match name {
            "tcp_retransmit_skb" => self.retransmit_skb,
            "tcp_retransmit_synack" => self.retransmit_synack,
            "inet_sock_set_state" => self.set_state,
            "tcp_bad_csum" => self.bad_csum,
            "tcp_send_reset" => self.send_reset,
            "tcp_receive_reset" => self.receive_reset,
            _ => None,
        }
    }

    pub(super) fn find(btf: &Btf<'_>) -> Result<Self, BtfError> {
        let find = |name| -> Result<Option<Tracepoint>, BtfError> {
            let Some(btf_id) = btf.find(name) else {
                return Ok(None);
            };
            // The first parameter is the tracepoint's private data, which
            // programs do not get.
            let parameters = btf.parameters(btf_id)?;
            Ok(parameters
                .and_then(|n| n.checked_sub(1))
                .map(|arguments| Tracepoint { arguments, btf_id }))
        };
        Ok(Self {
            retransmit_skb: find(RETRANSMIT_SKB)?,
            retransmit_synack: find(RETRANSMIT_SYNACK)?,
            set_state: find(SET_STATE)?,
            bad_csum: find(BAD_CSUM)?,
            send_reset: find(SEND_RESET)?,
            receive_reset: find(RECEIVE_RESET)?,
        })
    }
}
