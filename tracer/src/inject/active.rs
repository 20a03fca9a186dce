//! A fault that is being made.

use std::time::Duration;

use crate::clock::now_ns;
use tracer_ebpf::{FaultSettings, MAX_PORTS};

use super::{
    FaultReport, FaultRequest, FaultTotals, InjectError, Interface, PreparedFault,
    engine::Engine,
    ethtool::{self, Feature},
    guard::{Guard, Orders, Undo},
    offloads,
    request::read_features,
};

/// What the tool has for making the fault and for stopping it by itself before
/// the guard does: switching offloads and attaching wait for the lock of the
/// network devices, which a namespace that goes away can hold for a second.
const GRACE: Duration = Duration::from_secs(5);

/// Packets are being hit, until [`Self::stop`], the end of the duration, or
/// the end of this process, whichever comes first. Dropping it undoes it too,
/// without saying whether that worked.
#[derive(Debug)]
pub struct ActiveFault {
    request: FaultRequest,
    interface: Interface,
    engine: Engine,
    guard: Guard,
    /// The interface as it was.
    before: Vec<Feature>,
    offloads_changed: Vec<String>,
    started_ns: u64,
    until_ns: u64,
    undone: bool,
}

impl ActiveFault {
    /// Nothing is changed before the guard stands ready to undo it, and nothing
    /// is hit before a hit would be seen as one.
    pub(super) fn start(prepared: PreparedFault) -> Result<Self, InjectError> {
        let PreparedFault { request, interface } = prepared;
        let engine = Engine::load(&interface.name, settings(&request), &request.peers)?;
        let before = read_features(&interface)?;
        let switch_off = offloads::to_switch_off(&before);
        let guard = Guard::start(&request.guard, &orders(&request, &interface, &switch_off))?;
        // From here on, dropping it undoes.
        let mut fault = Self {
            request,
            interface,
            engine,
            guard,
            before,
            offloads_changed: Vec::new(),
            started_ns: 0,
            until_ns: 0,
            undone: false,
        };
        // The guard holds the interface only now: another fault may just have
        // ended, and what was read before may have been its doing.
        if read_features(&fault.interface)? != fault.before {
            return Err(InjectError::OffloadsMoved {
                interface: fault.interface.name.clone(),
            });
        }
        fault.switch_off(&switch_off)?;
        fault.engine.attach()?;
        fault.started_ns = now_ns();
        fault.until_ns = fault
            .started_ns
            .saturating_add(nanos(fault.request.duration));
        fault.engine.arm(fault.until_ns)?;
        Ok(fault)
    }

    fn switch_off(&mut self, features: &[String]) -> Result<(), InjectError> {
        let interface = || self.interface.name.clone();
        ethtool::request(&self.interface.name, features, false).map_err(|error| {
            InjectError::Offloads {
                doing: "switch off",
                interface: interface(),
                error,
            }
        })?;
        let during = read_features(&self.interface)?;
        let still_on = offloads::still_on(&during);
        if !still_on.is_empty() {
            return Err(InjectError::FixedOffloads {
                interface: interface(),
                features: still_on,
            });
        }
        self.offloads_changed = offloads::changed(&self.before, &during);
        Ok(())
    }

    /// What was done so far; [`None`] if the kernel does not tell.
    pub fn counters(&self) -> Option<FaultTotals> {
        self.engine.totals()
    }

    /// Where the fault is.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// When the first packet could be hit, ns of `CLOCK_MONOTONIC`.
    pub fn started_ns(&self) -> u64 {
        self.started_ns
    }

    /// When the fault ends by itself, ns of `CLOCK_MONOTONIC`.
    pub fn until_ns(&self) -> u64 {
        self.until_ns
    }

    /// Undoes everything and verifies that it is undone.
    pub fn stop(mut self) -> FaultReport {
        let (removed, left_behind) = self.undo();
        let ended_ns = now_ns().min(self.until_ns);
        FaultReport {
            kind: self.request.spec.kind,
            percent: self.request.spec.percent,
            peers: self.request.peers.iter().map(shown).collect(),
            ports: self.request.ports.clone(),
            interface: self.interface.name.clone(),
            direction: "out",
            engine: "bpf",
            damaged: "tcp checksum",
            started_ns: self.started_ns,
            ended_ns,
            seen: None,
            hit: None,
            bytes: None,
            passed: None,
            delivered_percent: None,
            expected_hits: None,
            offloads_changed: self.offloads_changed.clone(),
            removed,
            left_behind,
        }
        .count(self.engine.totals())
    }

    /// Program first: while it hits, offloads would hide the hits. Returns
    /// whether all is verified to be as it was, and if not, why.
    fn undo(&mut self) -> (bool, Option<String>) {
        if self.undone {
            return (true, None);
        }
        self.undone = true;
        let mut problems = Vec::new();
        if !self.engine.detach() {
            problems.push(format!(
                "the kernel does not confirm that the fault's program has left {}; the end of this process removes it",
                self.interface.name
            ));
        }
        if let Err(error) = self.guard.release() {
            problems.push(format!("the guard did not undo the fault: {error}"));
            // Somebody ended it; what it would have done is still known.
            let switched_off = offloads::to_switch_off(&self.before);
            let _ = ethtool::request(&self.interface.name, &switched_off, true);
        }
        match ethtool::features(&self.interface.name) {
            Ok(after) => {
                let different = offloads::not_restored(&self.before, &after);
                if different.is_empty() {
                    // Whatever went wrong on the way, it is undone.
                    problems.retain(|problem| !problem.starts_with("the guard"));
                } else {
                    problems.push(format!(
                        "not as before the fault on {}: {}; see `ethtool -k {0}`",
                        self.interface.name,
                        different.join(", ")
                    ));
                }
            }
            // Gone, and everything on it.
            Err(_) if Interface::by_index(self.interface.index).is_err() => {}
            Err(error) => problems.push(format!(
                "cannot read the offloads of {} back: {error}",
                self.interface.name
            )),
        }
        let left_behind = (!problems.is_empty()).then(|| problems.join("; "));
        (left_behind.is_none(), left_behind)
    }
}

impl Drop for ActiveFault {
    fn drop(&mut self) {
        if let (false, Some(left_behind)) = self.undo() {
            log::error!("{left_behind}");
        }
    }
}

fn settings(request: &FaultRequest) -> FaultSettings {
    let mut ports = [0; MAX_PORTS];
    for (to, from) in ports.iter_mut().zip(&request.ports) {
        *to = *from;
    }
    FaultSettings {
        threshold: request.spec.percent.threshold(),
        // At most MAX_PORTS, checked when it was prepared.
        port_count: request.ports.len() as u32,
        _pad: 0,
        ports,
    }
}

fn orders(request: &FaultRequest, interface: &Interface, switch_off: &[String]) -> Orders {
    let deadline = request.duration.saturating_add(GRACE);
    Orders {
        interface: interface.clone(),
        deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
        undo: vec![Undo::Offloads(switch_off.to_vec())],
    }
}

/// As it was typed: an address without the length of its prefix.
fn shown(peer: &ipnet::IpNet) -> String {
    if peer.prefix_len() == peer.max_prefix_len() {
        peer.addr().to_string()
    } else {
        peer.to_string()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
