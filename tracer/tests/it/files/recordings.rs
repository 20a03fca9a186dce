//! Recordings as logrotate, compression and people leave them.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use flate2::{Compression, write::GzEncoder};

use crate::support::program::{
    FAILURE, PROGRAM, USAGE, assert_refused, data, printed, text, tracer,
};
use crate::support::report::Report;

/// How many lines the first of two parts has.
const FIRST: usize = 20;

/// The recording in two parts, of which the second follows the first.
fn parts() -> (String, String) {
    let whole = fs::read_to_string(data("db2.jsonl")).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    (lines[..FIRST].concat(), lines[FIRST..].concat())
}

fn put(folder: &Path, name: &str, content: &[u8]) -> String {
    let path = text(&folder.join(name));
    fs::write(&path, content).unwrap();
    path
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn replayed(files: &[&str]) -> Report {
    let arguments = [&["replay", "--json", "-"], files].concat();
    Report::read(printed(&arguments).as_bytes()).unwrap()
}

/// The same flows, totals and window.
fn assert_same(report: &Report, expected: &Report) {
    assert_eq!(report.totals, expected.totals);
    assert_eq!(report.window, expected.window);
    let others = |of: &Report| serde_json::to_value((&of.flows, &of.states, &of.resets)).unwrap();
    assert_eq!(others(report), others(expected));
}

#[test]
fn rotated_files_make_one_report_in_whatever_order() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = parts();
    let now = put(folder.path(), "events.jsonl", b"");
    let new = put(folder.path(), "events.jsonl.1", two.as_bytes());
    let old = put(folder.path(), "events.jsonl.2.gz", &gzip(one.as_bytes()));
    let whole = replayed(&[&data("db2.jsonl")]);
    for files in [[&now, &new, &old], [&old, &new, &now]] {
        let report = replayed(&files.map(String::as_str));
        assert_same(&report, &whole);
        assert_eq!(report.warnings, whole.warnings);
    }
}

#[test]
fn what_is_given_twice_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let whole = data("db2.jsonl");
    let copy = put(folder.path(), "copy.gz", &gzip(&fs::read(&whole).unwrap()));
    let expected = replayed(&[&whole]);
    for files in [[&whole, &whole], [&whole, &copy]] {
        let report = replayed(&files.map(String::as_str));
        assert_same(&report, &expected);
        assert!(report.warned("were there twice, and count once"));
    }
}

#[test]
fn what_was_joined_in_the_wrong_order_is_told_and_not_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = parts();
    for joined in [format!("{two}{one}"), format!("{one}{two}{one}")] {
        let joined = put(folder.path(), "joined.jsonl", joined.as_bytes());
        let output = tracer(&["replay", &joined]);
        assert_refused(&output, FAILURE, &[&joined, "wrong order", "several files"]);
    }
    let right = put(
        folder.path(),
        "right.jsonl",
        format!("{one}{two}").as_bytes(),
    );
    assert_same(&replayed(&[&right]), &replayed(&[&data("db2.jsonl")]));
}

/// Times of another boot are of another clock: no difference of the two means anything.
#[test]
fn recordings_of_two_boots_are_no_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = parts();
    let later = two.replace("\"time_ns\":", "\"time_ns\":1");
    assert_ne!(later, two);
    let one = put(folder.path(), "one.jsonl", one.as_bytes());
    let later = put(folder.path(), "later.jsonl", later.as_bytes());
    for files in [[&one, &later], [&later, &one]] {
        let arguments = [&["replay"], &files.map(String::as_str)[..]].concat();
        assert_refused(&tracer(&arguments), FAILURE, &["line 1", "another clock"]);
    }
}

#[test]
fn holes_and_lines_that_were_cut_cost_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = parts();
    let expected = replayed(&[&data("db2.jsonl")]);
    let hole = vec![0; 300_000];
    let join = |name, parts: &[&[u8]]| put(folder.path(), name, &parts.concat());
    let (head, tail) = (one.as_bytes(), two.as_bytes());
    for (path, words) in [
        (
            join("begins", &[&hole, head, tail]),
            "300000 NUL bytes were passed",
        ),
        (
            join("amid", &[head, &head[..50], &hole, tail]),
            "a line was cut",
        ),
        (join("torn", &[head, &head[..50], tail]), "a line was cut"),
        (
            join("blank", &[b"\xef\xbb\xbf\n", head, b"\n\r\n", tail, b"\n"]),
            "",
        ),
    ] {
        let report = replayed(&[&path]);
        assert_same(&report, &expected);
        assert!(report.warned(words), "{words}: {:?}", report.warnings);
        assert_eq!(words.is_empty(), report.warnings == expected.warnings);
    }
    let mut packed = gzip(&fs::read(data("db2.jsonl")).unwrap());
    packed.truncate(packed.len() - 9);
    let report = replayed(&[&put(folder.path(), "cut.gz", &packed)]);
    assert_eq!(report.totals.segments, expected.totals.segments);
    assert!(report.warned("a line was cut"));
}

#[test]
fn what_cannot_be_read_is_named_with_what_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content, words) in [
        (
            "e.zst",
            &b"\x28\xb5\x2f\xfdxxxx"[..],
            &["zstd", "zstd -dc"][..],
        ),
        ("e.xz", b"\xfd7zXZ\0xxxx", &["compressed with xz", "xz -dc"]),
        ("e.txt", b"\xff\xfe{\0\"\0", &["UTF-16", "iconv"]),
        ("e.gz", b"\x1f\x8bnonsense, and not compressed", &["e.gz"]),
    ] {
        let path = put(folder.path(), name, content);
        let output = tracer(&["replay", &path]);
        assert_refused(&output, FAILURE, &[&[path.as_str()], words].concat());
    }
}

#[test]
fn what_is_read_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let events = fs::read(data("db2.jsonl")).unwrap();
    let path = put(folder.path(), "events.jsonl", &events);
    let again = text(&folder.path().join(".").join("events.jsonl"));
    let output = tracer(&["replay", &path, "--json", &again]);
    assert_refused(&output, USAGE, &["--json", "same file"]);
    let output = tracer(&["report", &path, "-o", &again, "--format", "md"]);
    assert_refused(&output, USAGE, &["--output", "same file"]);
    assert_eq!(fs::read(&path).unwrap(), events);
}

/// `/dev/stdout` is what the caller has open, and no file to be put in its place.
#[test]
fn a_device_is_written_to_and_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stdout");
    let standard = Path::new("/dev/stdout");
    let before = fs::read_link(standard).unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["replay", &data("db2.jsonl"), "--json", "/dev/stdout"]);
    let status = command
        .stdout(fs::File::create(&path).unwrap())
        .stderr(Stdio::inherit())
        .status()
        .unwrap();
    assert!(status.success());
    Report::read(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(fs::read_link(standard).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Where nobody hears it, an error is an exit code like any other, and no panic.
#[test]
fn who_cannot_be_told_of_an_error_is_not_told() {
    for (arguments, code) in [
        (&["replay", "/no/such/file"][..], FAILURE),
        (&["report", "a", "-o", "b.pdf"], USAGE),
        (&["walk"], USAGE),
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full");
        let (read, closed) = nix::unistd::pipe().unwrap();
        drop(read);
        for stderr in [Stdio::from(full.unwrap()), Stdio::from(closed)] {
            let mut command = Command::new(PROGRAM);
            let status = command.args(arguments).stderr(stderr).status().unwrap();
            assert_eq!(status.code(), Some(code), "{arguments:?}");
        }
    }
}
