//! Which offloads a fault needs off, and what became of them.
//!
//! A device that computes TCP checksums or cuts TCP segments itself writes the
//! checksum field after the fault did, and so repairs what was corrupted. And what is cut
//! after the fault, or was put together before it, shares one lot.

use crate::inject::Needs;
use crate::kernel::ethtool::Feature;
use tracer_core::report::fault::CHECKSUM_OFFLOADS;

/// The device, or software late, cuts a packet into segments. None of these
/// works without the first kind, but each stays requested and would come back
/// with it.
const SEGMENTATION: [&str; 6] = [
    "tx-tcp-segmentation",
    "tx-tcp-ecn-segmentation",
    "tx-tcp-mangleid-segmentation",
    "tx-tcp6-segmentation",
    "tx-tcp-accecn-segmentation",
    "tx-generic-segmentation",
];

/// The device, or the kernel on arrival, puts segments together.
const COALESCING: [&str; 3] = ["rx-gro", "rx-gro-hw", "rx-lro"];

/// Features to switch off for the fault and to request again after it.
pub(crate) fn to_switch_off(features: &[Feature], needs: Needs) -> Vec<String> {
    features
        .iter()
        .filter(|feature| feature.available && feature.requested)
        .map(|feature| feature.name.clone())
        .filter(|name| is_meant(name, needs))
        .collect()
}

fn is_meant(name: &str, needs: Needs) -> bool {
    (needs.no_checksums && CHECKSUM_OFFLOADS.contains(&name))
        || (needs.no_segmentation && SEGMENTATION.contains(&name))
        || (needs.no_coalescing && COALESCING.contains(&name))
}

/// Features that the fault needs off, were off when it began, and are on now.
pub(crate) fn on_again(during: &[Feature], now: &[Feature], needs: Needs) -> Vec<String> {
    differing(during, now, |during, now| {
        is_meant(&now.name, needs) && !during.active && now.active
    })
}

/// Features that would repair checksums and cannot be switched off.
pub(crate) fn fixed_on(features: &[Feature]) -> Vec<String> {
    repairing(features, |feature| !feature.available)
}

/// Features that would repair checksums and are on.
pub(crate) fn still_on(features: &[Feature]) -> Vec<String> {
    repairing(features, |_| true)
}

fn repairing(features: &[Feature], which: impl Fn(&Feature) -> bool) -> Vec<String> {
    features
        .iter()
        .filter(|feature| feature.active && CHECKSUM_OFFLOADS.contains(&feature.name.as_str()))
        .filter(|feature| which(feature))
        .map(|feature| feature.name.clone())
        .collect()
}

/// Features whose effect differs: what was asked, and what that implied.
pub(crate) fn changed(before: &[Feature], after: &[Feature]) -> Vec<String> {
    differing(before, after, |before, after| before.active != after.active)
}

/// Features that are not as they were, in effect or in request.
pub(crate) fn not_restored(before: &[Feature], after: &[Feature]) -> Vec<String> {
    differing(before, after, |before, after| before != after)
}

fn differing(
    before: &[Feature],
    after: &[Feature],
    differ: impl Fn(&Feature, &Feature) -> bool,
) -> Vec<String> {
    before
        .iter()
        .zip(after)
        .filter(|(before, after)| differ(before, after))
        .map(|(before, _)| before.name.clone())
        .collect()
}

/// `NETIF_F_LOOPBACK` is among the features of nothing but a loopback device
/// that cannot be switched out of it; its name would be a guess.
pub(crate) fn is_loopback(features: &[Feature]) -> bool {
    features
        .iter()
        .any(|feature| feature.name == "loopback" && feature.active && !feature.available)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORRUPTING: Needs = Needs {
        no_checksums: true,
        no_segmentation: true,
        no_coalescing: false,
    };

    fn feature(name: &str, available: bool, requested: bool, active: bool) -> Feature {
        Feature {
            name: name.to_owned(),
            available,
            requested,
            active,
        }
    }

    #[test]
    fn only_what_was_requested_and_can_change_is_switched_off() {
        let features = [
            feature("rx-checksum", true, true, true),
            feature("tx-checksum-ipv4", false, false, false),
            feature("tx-checksum-ip-generic", true, true, true),
            feature("tx-checksum-sctp", true, true, true),
            // Requested though not in effect: to be put back all the same.
            feature("tx-tcp-segmentation", true, true, false),
            feature("tx-tcp6-segmentation", true, false, false),
        ];
        assert_eq!(
            to_switch_off(&features, CORRUPTING),
            ["tx-checksum-ip-generic", "tx-tcp-segmentation"]
        );
        assert!(to_switch_off(&features, Needs::default()).is_empty());
        assert!(fixed_on(&features).is_empty());
        assert_eq!(still_on(&features), ["tx-checksum-ip-generic"]);
    }

    #[test]
    fn an_offload_that_cannot_be_switched_off_is_named() {
        let features = [feature("tx-checksum-ip-generic", false, true, true)];
        assert!(to_switch_off(&features, CORRUPTING).is_empty());
        assert_eq!(fixed_on(&features), ["tx-checksum-ip-generic"]);
    }

    #[test]
    fn only_what_the_fault_needs_off_is_on_again() {
        let with = |active| {
            [
                feature("tx-checksum-ip-generic", true, active, active),
                feature("tx-tcp-segmentation", true, active, active),
                feature("tx-generic-segmentation", true, true, true),
                feature("rx-gro", true, active, active),
            ]
        };
        assert_eq!(
            on_again(&with(false), &with(true), CORRUPTING),
            ["tx-checksum-ip-generic", "tx-tcp-segmentation"]
        );
        assert!(on_again(&with(false), &with(true), Needs::default()).is_empty());
        assert!(on_again(&with(true), &with(true), CORRUPTING).is_empty());
        assert!(on_again(&with(false), &with(false), CORRUPTING).is_empty());
    }

    #[test]
    fn what_is_implied_counts_as_changed_and_a_lost_request_as_not_restored() {
        let before = [
            feature("tx-udp-segmentation", true, true, true),
            feature("tx-tcp-segmentation", true, true, false),
        ];
        let during = [
            feature("tx-udp-segmentation", true, true, false),
            feature("tx-tcp-segmentation", true, false, false),
        ];
        assert_eq!(changed(&before, &during), ["tx-udp-segmentation"]);
        assert_eq!(
            not_restored(&before, &during),
            ["tx-udp-segmentation", "tx-tcp-segmentation"]
        );
        assert!(not_restored(&before, &before).is_empty());
    }
}
