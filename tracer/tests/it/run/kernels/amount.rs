//! How much is enough.

use std::env;

/// So many that a mistake of one in ten thousand shows.
const SEGMENTS: u64 = 10_000;

/// Segments that a storm waits for. An emulated machine is asked for fewer.
pub(crate) fn segments() -> u64 {
    asked_for().unwrap_or(SEGMENTS)
}

/// Segments that have to come within seconds, in which an emulated machine does
/// little.
pub(crate) fn segments_soon() -> u64 {
    asked_for().map_or(SEGMENTS, |segments| segments / 10)
}

/// How long a fault lasts that is to cause [`segments_soon`].
pub(crate) const WHILE_SOON: &str = "6s";

fn asked_for() -> Option<u64> {
    env::var("TRACER_TEST_SEGMENTS")
        .ok()
        .map(|text| text.parse().unwrap())
}
