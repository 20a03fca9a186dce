//! What a kind of retransmit means.

use tracer_ebpf::RetransmitKind;

/// Why a segment of a kind is retransmitted.
pub(crate) fn why(kind: RetransmitKind) -> &'static str {
    match kind {
        RetransmitKind::Rto => "after a timeout: no answer came in time",
        RetransmitKind::Tlp => "as tail loss probes, before the timeout",
        RetransmitKind::Fast => "because acknowledgements showed a gap",
        RetransmitKind::Rack => "because a segment sent later was acknowledged well before (RACK)",
        RetransmitKind::SlowStart => "after a timeout, while the congestion window grows again",
        RetransmitKind::Syn => "to open a connection",
        RetransmitKind::SynAck => "to answer one that opens a connection",
        RetransmitKind::Other => "for a reason that the kernel does not show",
    }
}
