//! Programs that somebody runs: whether they are PostgreSQL's, and where their functions
//! are.

use std::fs::File;
use std::io::Write as _;

use nix::sys::memfd::{MFdFlags, memfd_create};
use tracer::foreign;

const NAMES: [&str; 3] = ["PostmasterMain", "PostgresMain", "SyncRepWaitForLSN"];

/// The bytes are the file.
///
/// Both ways to look for functions, in memory and in the file, agree on what there is.
pub fn target(data: &[u8]) {
    let found = foreign::functions(data, &NAMES);
    if let Some(found) = &found {
        assert_eq!(found.len(), NAMES.len());
        for begins in found.iter().flatten() {
            let watched = foreign::behind_landing_pad(data, *begins);
            assert!((0..=4).contains(&(watched - begins)));
        }
    }
    // What is none in memory need not be asked for as a file.
    if !data.starts_with(b"\x7fELF") {
        return;
    }
    let memory = memfd_create("program", MFdFlags::empty()).expect("memory for a file");
    let mut file = File::from(memory);
    file.write_all(data).expect("memory for a file");
    let exports = foreign::exports(file, &NAMES);
    let all = found.is_some_and(|found| found.iter().all(Option::is_some));
    assert!(
        exports || !all,
        "they are there, and were not found in the file"
    );
}
