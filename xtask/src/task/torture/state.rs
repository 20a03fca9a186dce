//! What a fault changes of a network, as it is at a moment.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aya::programs::{SchedClassifier, TcAttachType};
use serde_json::Value;

use crate::testbed::command;
use crate::testbed::netns::Netns;

/// Of every interface, by its hardware address or, where that is not its own, its namespace: an
/// interface that is renamed or moved stays what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HostState(BTreeMap<String, Face>);

/// What can be seen of an interface. Its name in the texts is `it`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Face {
    place: String,
    /// `ethtool -k`.
    features: String,
    /// Queueing disciplines and filters, as `tc` shows them.
    traffic: String,
    /// Ids of the programs on links.
    programs: Vec<u32>,
    addresses: Vec<String>,
}

/// What may differ, because it happened to the interface and not by the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Excused {
    pub(super) missing: bool,
    pub(super) addresses: bool,
}

impl HostState {
    pub(super) fn read(namespaces: &[&Netns]) -> Result<Self> {
        let mut all = BTreeMap::new();
        for netns in namespaces {
            all.extend(of(netns).with_context(|| format!("in {}", netns.name()))?);
        }
        Ok(Self(all))
    }

    /// What is not as it was, a line each.
    pub(super) fn differences(&self, now: &Self, excused: Excused) -> Vec<String> {
        let mut found = Vec::new();
        for (key, before) in &self.0 {
            let Some(now) = now.0.get(key) else {
                if !excused.missing {
                    found.push(format!("{} is gone", before.place));
                }
                continue;
            };
            let mut compare = |what: &str, before: &str, now: &str, place: &str| {
                let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
                let (before, now) = (lines(before), lines(now));
                let less = before.iter().filter(|line| !now.contains(line));
                let more = now.iter().filter(|line| !before.contains(line));
                let changed: Vec<String> = less
                    .map(|line| format!("- {line}"))
                    .chain(more.map(|line| format!("+ {line}")))
                    .collect();
                if before != now {
                    found.push(format!("{place}, {what}: {}", changed.join(" ")));
                }
            };
            let programs = |face: &Face| format!("{:?}", face.programs);
            let addresses = |face: &Face| face.addresses.join("\n");
            let place = &now.place;
            compare("offloads", &before.features, &now.features, place);
            compare("queues and filters", &before.traffic, &now.traffic, place);
            compare("programs", &programs(before), &programs(now), place);
            if !excused.addresses {
                compare("addresses", &addresses(before), &addresses(now), place);
            }
        }
        found
    }
}

fn of(netns: &Netns) -> Result<BTreeMap<String, Face>> {
    let listed = netns.run("ip", &["-j", "-d", "address", "show"])?;
    let listed: Value = serde_json::from_str(&listed).context("what `ip` says")?;
    let mut found = BTreeMap::new();
    for one in listed.as_array().into_iter().flatten() {
        let name = one["ifname"].as_str().context("no name")?;
        let hardware = one["address"].as_str().unwrap_or_default();
        // A bridge has the address of one of its ports.
        let bridge = one["linkinfo"]["info_kind"] == "bridge";
        let key = match one["link_type"].as_str() {
            Some("ether") if !bridge => hardware.to_owned(),
            _ => format!("{name} of {}", netns.name()),
        };
        let mut addresses: Vec<String> = one["addr_info"]
            .as_array()
            .into_iter()
            .flatten()
            // The kernel's own come when the link does.
            .filter(|it| it["scope"] != "link")
            .map(|it| format!("{}/{}", it["local"], it["prefixlen"]))
            .collect();
        addresses.sort();
        found.insert(key, face(netns, name, addresses)?);
    }
    Ok(found)
}

fn face(netns: &Netns, name: &str, addresses: Vec<String>) -> Result<Face> {
    let features = netns.run("ethtool", &["-k", name])?;
    let lines = format!(
        "qdisc show dev {name}\nfilter show dev {name}\n\
         filter show dev {name} ingress\nfilter show dev {name} egress\n"
    );
    let (traffic, programs) = netns.enter(|| {
        let mut tc = command::named("tc");
        let traffic = command::output_with_input(tc.args(["-batch", "-"]), &lines)?;
        let mut ids = Vec::new();
        for way in [TcAttachType::Egress, TcAttachType::Ingress] {
            // Kernels before 6.6 have none.
            if let Ok((_, programs)) = SchedClassifier::query_tcx(name, way) {
                ids.extend(programs.iter().map(|program| program.id()));
            }
        }
        Ok((traffic, ids))
    })?;
    let anonymous = |text: &str| {
        text.replace(&format!("{name}:"), "it:")
            .replace(&format!("dev {name}"), "dev it")
    };
    // What is there where nothing is, on an interface that is up and on one that is not.
    let nothing = |line: &str| line.contains("qdisc noqueue 0:") || line.contains("qdisc noop 0:");
    let traffic: Vec<&str> = traffic.lines().filter(|line| !nothing(line)).collect();
    Ok(Face {
        place: format!("{name} of {}", netns.name()),
        features: anonymous(&features),
        traffic: anonymous(&traffic.join("\n")),
        programs,
        addresses,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(place: &str, features: &str, addresses: &[&str]) -> HostState {
        let face = Face {
            place: place.to_owned(),
            features: features.to_owned(),
            traffic: String::new(),
            programs: Vec::new(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
        };
        HostState([("02:00".to_owned(), face)].into())
    }

    const NONE: Excused = Excused {
        missing: false,
        addresses: false,
    };

    #[test]
    fn what_differs_is_told_by_its_line() {
        let before = state("eth0 of a", "tso: on\ngso: on", &["10.0.0.1/24"]);
        let now = state("lan0 of b", "tso: on\ngso: off", &[]);
        assert_eq!(before.differences(&before, NONE), [""; 0]);
        let found = before.differences(&now, NONE);
        assert_eq!(
            found,
            [
                "lan0 of b, offloads: - gso: on + gso: off",
                "lan0 of b, addresses: - 10.0.0.1/24"
            ]
        );
        let found = before.differences(&HostState::default(), NONE);
        assert_eq!(found, ["eth0 of a is gone"]);
        let excused = Excused {
            missing: true,
            addresses: true,
        };
        assert_eq!(before.differences(&HostState::default(), excused), [""; 0]);
        assert_eq!(before.differences(&now, excused).len(), 1);
    }
}
