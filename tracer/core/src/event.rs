//! Bytes of the ring buffer → [`Event`], length-checked: never panics, whatever
//! the bytes are.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use bytes::Buf;
use tracer_ebpf::{Event, EventKind, RetransmitKind, Tuple};

/// Bytes that are no event.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Not the length of an event.
    #[error("an event has {expected} bytes, this record has {got}: program and tool do not match")]
    Length {
        /// What a record must have.
        expected: usize,
        /// What it has.
        got: usize,
    },
    /// A number that names nothing.
    #[error("{field} {value} names nothing: program and tool do not match")]
    Unknown {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u32,
    },
}

/// An event whose numbers are known to mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// What happened.
    pub what: EventKind,
    /// Why, of a retransmit.
    pub kind: Option<RetransmitKind>,
    /// All fields as the program wrote them.
    pub event: Event,
}

/// Decodes one record.
///
/// # Errors
/// If it has another length, or an unknown event or kind.
pub fn decode(mut bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let expected = size_of::<Event>();
    if bytes.len() != expected {
        return Err(DecodeError::Length {
            expected,
            got: bytes.len(),
        });
    }
    // The length is right, so none of these reads runs off the end.
    let buffer = &mut bytes;
    let event = Event {
        time_ns: buffer.get_u64_ne(),
        tuple: Tuple {
            local: address(buffer),
            remote: address(buffer),
            local_port: buffer.get_u16_ne(),
            remote_port: buffer.get_u16_ne(),
            netns: buffer.get_u32_ne(),
        },
        what: buffer.get_u32_ne(),
        kind: buffer.get_u32_ne(),
        segments: buffer.get_u32_ne(),
        bytes: buffer.get_u32_ne(),
        seq: buffer.get_u32_ne(),
        end_seq: buffer.get_u32_ne(),
        err: buffer.get_i32_ne(),
        rto: buffer.get_u32_ne(),
        cwnd: buffer.get_u32_ne(),
        srtt_us: buffer.get_u32_ne(),
        tcp_flags: buffer.get_u16_ne(),
        state: buffer.get_u8(),
        old_state: buffer.get_u8(),
        ca_state: buffer.get_u8(),
        backoff: buffer.get_u8(),
        unacked: buffer.get_u16_ne(),
    };
    let unknown = |field, value| DecodeError::Unknown { field, value };
    let what = EventKind::from_u32(event.what).ok_or(unknown("event", event.what))?;
    let kind = match what {
        EventKind::Retransmit | EventKind::SynAck => {
            let kind = RetransmitKind::from_u32(event.kind);
            Some(kind.ok_or(unknown("kind", event.kind))?)
        }
        _ => None,
    };
    Ok(Decoded { what, kind, event })
}

fn address(buffer: &mut &[u8]) -> [u8; 16] {
    let mut address = [0; 16];
    buffer.copy_to_slice(&mut address);
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a value as the kernel programs lay it out, by the compiler
    /// rather than by the decoder's own order of fields.
    fn bytes_of(event: &Event) -> Vec<u8> {
        // SAFETY: `Event` is `#[repr(C)]` without implicit padding.
        unsafe {
            std::slice::from_raw_parts(std::ptr::from_ref(event).cast::<u8>(), size_of::<Event>())
        }
        .to_vec()
    }

    fn sample() -> Event {
        Event {
            time_ns: 0x0102_0304_0506_0708,
            tuple: Tuple {
                local: std::array::from_fn(|i| i as u8),
                remote: std::array::from_fn(|i| 0xf0 | i as u8),
                local_port: 5432,
                remote_port: 40001,
                netns: 4_026_531_840,
            },
            what: EventKind::Retransmit as u32,
            kind: RetransmitKind::Rto as u32,
            segments: 3,
            bytes: 4344,
            seq: 0xdead_beef,
            end_seq: 0xdead_cfe7,
            err: -16,
            rto: 52,
            cwnd: 10,
            srtt_us: 812,
            tcp_flags: 0x18,
            state: 1,
            old_state: 4,
            ca_state: 4,
            backoff: 2,
            unacked: 0x0102,
        }
    }

    #[test]
    fn every_field_comes_back_as_it_was_laid_out() {
        let decoded = decode(&bytes_of(&sample())).unwrap();
        assert_eq!(decoded.event, sample());
        assert_eq!(decoded.what, EventKind::Retransmit);
        assert_eq!(decoded.kind, Some(RetransmitKind::Rto));
    }

    #[test]
    fn any_other_length_is_an_error() {
        let bytes = bytes_of(&sample());
        for length in (0..bytes.len()).chain([bytes.len() + 1, 4096]) {
            let mut cut = bytes.clone();
            cut.resize(length, 0);
            assert_eq!(
                decode(&cut),
                Err(DecodeError::Length {
                    expected: 96,
                    got: length
                })
            );
        }
    }

    #[test]
    fn numbers_that_name_nothing_are_errors_and_no_byte_panics() {
        let mut event = sample();
        event.what = 6;
        assert_eq!(
            decode(&bytes_of(&event)),
            Err(DecodeError::Unknown {
                field: "event",
                value: 6
            })
        );
        event.what = EventKind::Retransmit as u32;
        event.kind = 8;
        assert_eq!(
            decode(&bytes_of(&event)),
            Err(DecodeError::Unknown {
                field: "kind",
                value: 8
            })
        );
        let bytes = bytes_of(&sample());
        for position in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut corrupted = bytes.clone();
                corrupted[position] = value;
                let _ = decode(&corrupted);
            }
        }
    }
}
