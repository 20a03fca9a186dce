//! What a run shows to Prometheus of the network.

use std::net::Ipv6Addr;

use tracer_core::address::canonical;
use tracer_core::by_kind::sum;
use tracer_core::metrics::{Health, Metrics};
use tracer_core::recording::roles::Known;
use tracer_core::report::endpoint::endpoints;
use tracer_ebpf::{Gap, RetransmitKind};

use crate::clock::now_ns;
use crate::session::Session;

impl Session<'_> {
    /// What the last look found, and what the kernel has counted by now.
    ///
    /// # Errors
    /// If either side cannot be read.
    pub fn metrics(&mut self, known: &Known) -> anyhow::Result<Metrics> {
        for entry in self.table.entries() {
            let tuple = entry.flow.tuple;
            let (local, remote) = endpoints(&tuple);
            let process = entry.process.as_ref();
            let role = known.role(local.socket(), remote.socket(), process);
            let peer = canonical(Ipv6Addr::from(tuple.remote)).to_string();
            self.exposed
                .take(tuple, &entry.flow.segments, &role.kind.to_string(), &peer);
        }
        let mut metrics = Metrics::default();
        let (mut all, mut overflow) = ([0; RetransmitKind::COUNT], [0; RetransmitKind::COUNT]);
        let (mut retransmitted, mut damaged) = (Some(0), Some(0));
        for traced in &mut self.namespaces {
            let (totals, kernel) = traced.now(&self.probe)?;
            for (sum, segments) in all.iter_mut().zip(totals.segments) {
                *sum += segments;
            }
            for (sum, segments) in overflow.iter_mut().zip(totals.overflow_segments) {
                *sum += segments;
            }
            metrics.damaged += totals.selected_bad_checksums;
            metrics.resets_sent += totals.selected_resets_sent;
            metrics.resets_received += totals.selected_resets_received;
            let plus = |sum: Option<u64>, more: Option<u64>| Some(sum? + more?);
            retransmitted = plus(retransmitted, kernel.retrans_segs);
            damaged = plus(damaged, kernel.in_csum_errors);
        }
        metrics.sent = self.exposed.counters(&overflow);
        metrics.all = RetransmitKind::ALL
            .map(|kind| (kind.name(), all[kind as usize]))
            .into();
        metrics.kernel_segments = retransmitted;
        // Both are far below 2⁶³.
        metrics.unexplained = retransmitted.map(|kernel| kernel.wrapping_sub(sum(&all)) as i64);
        metrics.kernel_damaged = damaged;
        metrics.health = self.health()?;
        Ok(metrics)
    }

    fn health(&self) -> anyhow::Result<Health> {
        let gaps = self.probe.gaps()?;
        Ok(Health {
            uptime_s: now_ns().saturating_sub(self.start_ns) as f64 / 1e9,
            cpu_s: crate::process::cpu().as_secs_f64(),
            lost_events: gaps.count(Gap::EventsLost),
            unwritten_events: 0,
            gaps: vec![
                gaps.count(Gap::FlowsFull),
                gaps.count(Gap::SocketsFull),
                gaps.count(Gap::NamespacesFull),
                gaps.count(Gap::ReadFailed),
                self.undecodable,
            ],
            flows: self.table.entries().count() as u64,
        })
    }
}
