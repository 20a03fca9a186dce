//! Files of `--events`, as `tracer replay` reads them.

use tracer::foreign;
use tracer_core::render::{account, json, text};
use tracer_core::report::Report;

use crate::shown::{self, Turn};

/// Stands between two files; no JSON and no event holds it.
const SEPARATOR: u8 = 0x1e;
/// As many files as are taken.
const MAX_FILES: usize = 3;
/// The width of a terminal.
const WIDTH: usize = 120;

/// The bytes are up to three files, one behind the other.
///
/// Each event counts once, also where every file is given twice; flows add up to what is
/// said of them all; and what is made of it is a report that can be read.
pub fn target(data: &[u8]) {
    let pieces = data.splitn(MAX_FILES, |byte| *byte == SEPARATOR);
    let files: Vec<Vec<u8>> = pieces.map(<[u8]>::to_vec).collect();
    let twice = [files.clone(), files.clone()].concat();
    let Ok(report) = foreign::replayed(files) else {
        return;
    };
    let listed: u64 = report.flows.iter().map(|flow| flow.segments).sum();
    let unlisted = report.unlisted.as_ref().map_or(0, |all| all.sums.segments);
    assert_eq!(report.selected.segments, listed + unlisted);
    // Of what is compressed nobody knows how much it is.
    if !data.contains(&0x1f) {
        let lines = data
            .split(|byte| matches!(byte, b'\n' | 0 | &SEPARATOR))
            .count() as u64;
        assert!(report.selected.events <= lines);
        let again = foreign::replayed(twice).expect("what was taken is taken twice");
        assert_eq!(again.selected.segments, report.selected.segments);
        assert_eq!(again.flows.len(), report.flows.len());
    }
    shown::lines(&text::render(&report, WIDTH));
    shown::document(&account::of(&report), Turn::of(data));
    let written = json::render(&report).expect("a report has a form in JSON");
    let read = Report::read(&written).expect("what we write can be read");
    assert!(json::render(&read).expect("likewise") == written);
    foreign::document(&written).expect("likewise");
}
