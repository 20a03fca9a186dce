//! Records of the kernel programs, as they come out of the ring buffer.

use tracer::foreign;
use tracer::programs::event_file::EventReader;
use tracer_core::clock::Clock;
use tracer_core::event::decode;
use tracer_ebpf::Event;

/// The bytes are one record.
///
/// What is decoded is written as a line of `--events`, read, and written again: both lines
/// have to say the same.
pub fn target(data: &[u8]) {
    let Ok(decoded) = decode(data) else { return };
    assert_eq!(data.len(), size_of::<Event>());
    let clock = Clock {
        monotonic_ns: decoded.event.time_ns,
        realtime: jiff::Timestamp::UNIX_EPOCH,
    };
    let jiffy_ns = EventReader::<&[u8]>::JIFFY_NS;
    let written = foreign::line(&decoded, &clock, jiffy_ns).expect("an event has a form");
    let mut reader = EventReader::new(&*written);
    let read = reader.read().expect("what we write can be read");
    let read = read.expect("it is one event");
    let again = foreign::line(&read.decoded, &read.clock, jiffy_ns).expect("likewise");
    assert_eq!(
        String::from_utf8_lossy(&written),
        String::from_utf8_lossy(&again)
    );
}
