//! Records of faults that were left, as `tracer clean` finds them.

use tracer::inject::Record;

/// The bytes are the file.
///
/// What is read, written and read again is the same.
pub fn target(data: &[u8]) {
    let Ok(record) = serde_json::from_slice::<Record>(data) else {
        return;
    };
    let written = serde_json::to_vec(&record).expect("a record has a form in JSON");
    let again: Record = serde_json::from_slice(&written).expect("what we write can be read");
    assert_eq!(again, record);
    assert_eq!(record.netns(), again.netns());
}
