//! What a fault's report says to people.

use crate::report::fault::{FaultKind, FaultReport};
use crate::report::whereabouts::Whereabouts;

impl FaultReport {
    /// A sentence for the user if the fault did not do what was asked.
    pub fn warning(&self) -> Option<String> {
        let peers = self.peers.join(", ");
        let (toward, left) = match self.direction.as_ref() {
            "in" => ("from", "arrived on"),
            _ => ("toward", "left by"),
        };
        let kind = self.kind.name();
        if self.seen == Some(0) {
            let other = match self.passed {
                Some(passed) if passed > 0 => {
                    format!(" ({passed} packets that it leaves alone passed)")
                }
                _ => String::new(),
            };
            return Some(format!(
                "the fault matched nothing: no packet for {kind} {left} {} {toward} {peers}{other}; check the peer, the port, the direction and the interface",
                self.interface
            ));
        }
        let (Some(percent), Some(asked), true) =
            (self.delivered_percent, self.percent, self.is_off())
        else {
            return None;
        };
        Some(format!(
            "the fault delivered {kind} to {percent:.2}% instead of {asked} {toward} {peers}, which chance does not explain",
        ))
    }

    /// A sentence for the user if somebody has switched on again what the fault needs off.
    pub fn offloads_warning(&self) -> Option<String> {
        if self.offloads_on_again.is_empty() {
            return None;
        }
        let seen = self.offloads_on_again_ms.map_or(String::new(), |ms| {
            format!(", seen {:.1} s after its start", ms / 1e3)
        });
        let kind = self.kind.name();
        let means = if self.may_be_repaired() {
            "from then on corrupted checksums were repaired before they left, so how many arrived corrupted is not known; the receiver counts them (TcpInCsumErrors in `nstat -az`)".to_owned()
        } else {
            format!(
                "from then on a packet may hold several segments, and {kind} hits all of it or none"
            )
        };
        Some(format!(
            "somebody switched {} of {} on again while the fault lasted{seen}: {means}; it was left on",
            self.offloads_on_again.join(", "),
            self.interface
        ))
    }

    /// A sentence for the user if the fault was ended early because nobody would have
    /// undone it.
    pub(crate) fn guard_warning(&self) -> Option<String> {
        let lasted = self.ended_ns.saturating_sub(self.started_ns) as f64 / 1e9;
        self.guard_gone.then(|| {
            format!(
                "the guard of the fault on {} was ended by somebody, and so tracer ended the fault {lasted:.1} s after its start: nobody would have undone it had tracer been killed as well",
                self.interface
            )
        })
    }

    /// A sentence for the user if packets of the peers may have gone past the fault.
    pub fn others_warning(&self) -> Option<String> {
        if self.other_interfaces.is_empty() {
            return None;
        }
        Some(format!(
            "the fault was on {} alone, and {} may be reached by {} as well, where nothing was hit",
            self.interface,
            self.peers.join(", "),
            self.other_interfaces.join(", ")
        ))
    }

    /// A sentence for the user if the interface did not stay what it was.
    pub fn interface_warning(&self) -> Option<String> {
        let now = self.interface_now.as_ref()?;
        let told = now.told_of(&self.interface)?;
        let hit = match now {
            Whereabouts::Renamed { .. } => ", since the fault began",
            Whereabouts::Moved { .. } if self.hook == "tcx" => {
                "; what it sends and receives there was hit as well"
            }
            Whereabouts::Moved { .. } | Whereabouts::Gone | Whereabouts::Replaced { .. } => {
                "; until when packets were hit is not known"
            }
            // What could not be found out is reported as left behind.
            Whereabouts::AsBefore | Whereabouts::Unknown { .. } => return None,
        };
        Some(format!("{told}{hit}"))
    }

    /// What it did, in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let number = |value: Option<u64>| value.map_or("?".to_owned(), |value| value.to_string());
        let lasted = self.ended_ns.saturating_sub(self.started_ns) as f64 / 1e9;
        let toward = if self.direction == "in" { "from" } else { "to" };
        let share = self
            .delivered_percent
            .map_or(String::new(), |share| format!(" ({share:.1} %)"));
        let what = match self.kind {
            FaultKind::Corrupt => "corrupted",
            FaultKind::Loss | FaultKind::Partition => "lost",
            FaultKind::Delay => "delayed",
            FaultKind::Duplicate => "duplicated",
            FaultKind::Reorder => "sent out of order",
            FaultKind::Rate => "slowed down",
        };
        let gone = self
            .interface_now
            .as_ref()
            .is_some_and(Whereabouts::is_gone);
        let undone = match (self.removed, gone) {
            (true, true) => "gone with its interface",
            (true, false) => "removed",
            (false, _) => "NOT wholly undone",
        };
        let unknown = match self.may_be_repaired() {
            true => ", HOW MANY ARRIVED CORRUPTED IS NOT KNOWN",
            false => "",
        };
        let on_again = match &self.offloads_on_again[..] {
            [] => String::new(),
            names => {
                let names = names.join(", ");
                format!("{names} switched on again by somebody meanwhile{unknown}; ")
            }
        };
        let corrupted = self
            .damaged
            .as_ref()
            .map_or(String::new(), |what| format!("the {what} of "));
        format!(
            "{on_again}{corrupted}{} of {} segments {toward} {} {what} on {} in {lasted:.1} s{share}, {undone}",
            number(self.hit),
            number(self.seen),
            self.peers.join(", "),
            self.interface,
        )
    }
}

/// What is not as it should be, each once.
#[must_use]
pub fn warnings(reports: &[FaultReport]) -> Vec<String> {
    let mut warnings: Vec<String> = Vec::new();
    for report in reports {
        for warning in report
            .warning()
            .into_iter()
            .chain(report.offloads_warning())
            .chain(report.guard_warning())
            .chain(report.others_warning())
            .chain(report.interface_warning())
            .chain(report.left_behind.clone())
        {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }
    warnings
}
