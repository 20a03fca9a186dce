//! `--peer`.

use tracer::inject::Peer;
use tracer_core::address::prefix;

/// The bytes are what was typed.
///
/// What is shown of a peer can be typed, and is the same one.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(peer) = text.parse::<Peer>() else {
        return;
    };
    let again = peer.to_string().parse::<Peer>();
    assert_eq!(again.as_ref(), Ok(&peer), "{peer}");
    assert!(peer.zone.is_none() || peer.is_link_local());
    let (_, length) = prefix(&peer.net);
    assert!(length <= 128);
    assert_eq!(peer.net, peer.net.trunc());
}
