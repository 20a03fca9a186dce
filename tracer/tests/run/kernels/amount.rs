//! How much is enough.

use std::env;

/// So many that a mistake of one in ten thousand shows.
const SEGMENTS: u64 = 10_000;

/// Segments that a storm waits for. An emulated machine is asked for fewer.
pub(crate) fn segments() -> u64 {
    env::var("TRACER_TEST_SEGMENTS").map_or(SEGMENTS, |text| text.parse().unwrap())
}
