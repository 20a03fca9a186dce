//! Messages of what answers in a PostgreSQL server's place.

use tracer::foreign;

/// What is never read, and dropped: notices, notifications and parameters.
const DROPPED: [u8; 3] = *b"NAS";
const HEADER: usize = 5;

/// The first byte is the length of the pieces in which the others come.
///
/// What is left is the same whichever pieces it comes in, and holds whole messages of other
/// kinds than those that are dropped.
pub fn target(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else {
        return;
    };
    let whole = foreign::sifted(stream, stream.len());
    let pieces = foreign::sifted(stream, usize::from(*piece));
    let Ok(whole) = whole else {
        assert!(pieces.is_err());
        return;
    };
    assert_eq!(pieces.as_deref(), Ok(&*whole));
    assert!(whole.len() <= stream.len());
    let mut rest = &*whole;
    while let Some((header, body)) = rest.split_at_checked(HEADER) {
        let &[kind, a, b, c, d] = header else { break };
        assert!(!DROPPED.contains(&kind));
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        // The last one may still be on its way.
        rest = body.get(length - 4..).unwrap_or_default();
    }
}
