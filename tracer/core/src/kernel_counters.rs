//! The kernel's own TCP counters, one set a network namespace: what tracer's
//! counts are compared with.
//!
//! `/proc/net/snmp` and `/proc/net/netstat` are pairs of lines, one of names and
//! one of values. Which names there are depends on the kernel: what it does not
//! count is `None`, never 0.
//!
//! Meanings: <https://docs.kernel.org/networking/snmp_counter.html>.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

/// Declares a struct of optional counters and its parser.
macro_rules! counters {
    (
        $(#[$doc:meta])* $name:ident in $prefix:literal {
            $( $(#[$field_doc:meta])* $field:ident = $kernel:literal, )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $( $(#[$field_doc])* pub $field: Option<u64>, )*
        }

        impl $name {
            /// Reads the counters out of the file's text. Lines and names that are
            /// not known are passed over.
            pub fn parse(text: &str) -> Self {
                let mut counters = Self::default();
                for (name, value) in pairs(text, $prefix) {
                    match name {
                        $( $kernel => counters.$field = value.parse().ok(), )*
                        _ => {}
                    }
                }
                counters
            }

            /// What was counted between two readings of one namespace; `None`
            /// where either has no value.
            #[must_use]
            pub fn since(&self, earlier: &Self) -> Self {
                Self { $( $field: difference(self.$field, earlier.$field), )* }
            }
        }
    };
}

counters! {
    /// The `Tcp:` lines of `/proc/net/snmp`.
    Tcp in "Tcp:" {
        /// Segments received, bad ones included.
        in_segs = "InSegs",
        /// Segments sent, without retransmitted ones.
        out_segs = "OutSegs",
        /// Segments retransmitted, SYN-ACKs included.
        retrans_segs = "RetransSegs",
        /// Segments received with an error, checksum errors included.
        in_errs = "InErrs",
        /// Resets sent.
        out_rsts = "OutRsts",
        /// Segments received with a bad checksum.
        in_csum_errors = "InCsumErrors",
    }
}

counters! {
    /// The `TcpExt:` lines of `/proc/net/netstat`.
    TcpExt in "TcpExt:" {
        /// Tail loss probes sent: retransmits, and new data where there was some.
        loss_probes = "TCPLossProbes",
        /// Tail loss probes that repaired the loss.
        loss_probe_recovery = "TCPLossProbeRecovery",
        /// Retransmission timeouts.
        timeouts = "TCPTimeouts",
        /// Segments retransmitted by fast recovery.
        fast_retrans = "TCPFastRetrans",
        /// Segments retransmitted after a timeout, the first excepted.
        slow_start_retrans = "TCPSlowStartRetrans",
        /// SYNs and SYN-ACKs retransmitted.
        syn_retrans = "TCPSynRetrans",
        /// Calls to retransmit that failed after they were counted.
        retrans_fail = "TCPRetransFail",
        /// Timeouts that proved unnecessary (F-RTO).
        spurious_rtos = "TCPSpuriousRTOs",
        /// Retransmitted segments that were lost again.
        lost_retransmit = "TCPLostRetransmit",
        /// Recoveries begun by selective acknowledgements.
        sack_recovery = "TCPSackRecovery",
        /// Duplicate acknowledgements that name a segment the peer had already:
        /// the retransmit was not needed.
        dsack_received = "TCPDSACKRecv",
        /// Timeouts without any acknowledgement until the connection was given up.
        abort_on_timeout = "TCPAbortOnTimeout",
    }
}

/// What the kernel counted between the two ends.
#[derive(Debug, Clone, Copy, Default)]
pub struct KernelCounts {
    /// `Tcp: RetransSegs`.
    pub retrans_segs: Option<u64>,
    /// `Tcp: InCsumErrors`.
    pub in_csum_errors: Option<u64>,
    /// The `TcpExt:` counters.
    pub tcp_ext: TcpExt,
}

/// The name-value pairs of every pair of lines that starts with `prefix`.
fn pairs<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let mut lines = text
        .lines()
        .filter_map(move |line| line.strip_prefix(prefix));
    std::iter::from_fn(move || Some((lines.next()?, lines.next()?))).flat_map(|(names, values)| {
        names
            .split_ascii_whitespace()
            .zip(values.split_ascii_whitespace())
    })
}

fn difference(now: Option<u64>, earlier: Option<u64>) -> Option<u64> {
    Some(now?.saturating_sub(earlier?))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Cut from a Linux 6.18 machine, values changed.
    const SNMP: &str = "\
Ip: Forwarding DefaultTTL InReceives
Ip: 1 64 18890
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors
Tcp: 1 200 120000 -1 62 2 0 34 0 18875 10680 383084 7 52 5
Udp: InDatagrams NoPorts InErrors
Udp: 15 0 0
";
    const NETSTAT: &str = "\
TcpExt: SyncookiesSent TCPFastRetrans TCPSlowStartRetrans TCPTimeouts TCPLossProbes
TcpExt: 0 41 1 12 18446744073709551615
IpExt: InNoRoutes
IpExt: 0
";

    #[test]
    fn reads_the_tcp_lines_and_no_others() {
        let tcp = Tcp::parse(SNMP);
        assert_eq!(tcp.in_segs, Some(18875));
        assert_eq!(tcp.out_segs, Some(10680));
        assert_eq!(tcp.retrans_segs, Some(383_084));
        assert_eq!(tcp.in_errs, Some(7));
        assert_eq!(tcp.out_rsts, Some(52));
        assert_eq!(tcp.in_csum_errors, Some(5));
    }

    #[test]
    fn what_the_kernel_does_not_count_is_none() {
        let ext = TcpExt::parse(NETSTAT);
        assert_eq!(ext.fast_retrans, Some(41));
        assert_eq!(ext.slow_start_retrans, Some(1));
        assert_eq!(ext.timeouts, Some(12));
        assert_eq!(ext.loss_probes, Some(u64::MAX));
        assert_eq!(ext.retrans_fail, None);
        assert_eq!(TcpExt::parse(""), TcpExt::default());
        assert_eq!(Tcp::parse("Tcp: RetransSegs\n").retrans_segs, None);
        assert_eq!(Tcp::parse("Tcp: RetransSegs\nTcp: x\n").retrans_segs, None);
        assert_eq!(
            Tcp::parse("Tcp: InSegs RetransSegs\nTcp: 1\n").retrans_segs,
            None
        );
    }

    #[test]
    fn a_difference_needs_both_values() {
        let earlier = Tcp {
            in_segs: Some(5),
            ..Tcp::default()
        };
        let now = Tcp {
            in_segs: Some(9),
            out_segs: Some(3),
            ..Tcp::default()
        };
        assert_eq!(
            now.since(&earlier),
            Tcp {
                in_segs: Some(4),
                ..Tcp::default()
            }
        );
    }
}
