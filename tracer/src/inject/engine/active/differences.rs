//! What a fault has left of its interface.

use tracer_core::report::whereabouts::Whereabouts;

use crate::inject::Interface;
use crate::inject::engine::prepared::InterfaceState;
use crate::inject::plan::offloads;

/// What of the interface is not as before.
pub(super) fn differences(
    before: &InterfaceState,
    interface: &Interface,
    whereabouts: &Whereabouts,
) -> Option<String> {
    let name = &interface.name;
    let after = match InterfaceState::read(interface) {
        Ok(after) => after,
        // It went just now, and everything on it.
        Err(_) if Interface::by_index(interface.index).is_err() => return None,
        Err(error) => return Some(format!("cannot say whether all is as it was: {error}")),
    };
    let different = offloads::not_restored(&before.features, &after.features);
    if !different.is_empty() {
        return Some(format!(
            "not as before the fault on {name}: {}; see `ethtool -k {name}`",
            different.join(", ")
        ));
    }
    let differs = match whereabouts {
        // What was there did not go with it, whoever's it was.
        Whereabouts::Moved { .. } => after.found.has_ours(),
        _ => after.found != before.found,
    };
    differs.then(|| {
        format!(
            "not as before the fault on {name}: its queueing disciplines or filters; see `tc qdisc show dev {name}`"
        )
    })
}
