//! Everything that a fault changes of an interface.

use anyhow::Result;
use aya::programs::{SchedClassifier, TcAttachType};
use xtask::testbed::netns::Host;

/// As `ethtool` and `tc` show it, byte for byte, with the programs on links.
pub(crate) fn surroundings(host: &Host) -> Result<String> {
    let show = |arguments: &[&str]| host.netns.run("tc", arguments);
    let interface = host.interface.as_str();
    let mut text = host.netns.run("ethtool", &["-k", interface])?;
    text += &show(&["qdisc", "show", "dev", interface])?;
    for side in ["ingress", "egress"] {
        text += &show(&["filter", "show", "dev", interface, side])?;
    }
    // Not every kernel has these.
    let links = links(host).unwrap_or_default();
    Ok(format!("{text}links: {links:?}\n"))
}

/// Ids of the programs on links, both ways.
pub(crate) fn links(host: &Host) -> Result<Vec<u32>> {
    host.netns.enter(|| {
        let mut ids = Vec::new();
        for way in [TcAttachType::Egress, TcAttachType::Ingress] {
            let (_, programs) = SchedClassifier::query_tcx(&host.interface, way)?;
            ids.extend(programs.iter().map(|program| program.id()));
        }
        Ok(ids)
    })
}
