//! Functions that are seen to be called, and such as are there and never are, on real servers.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use serde_json::Value;
use tracer_core::report::hook::HookReport;
use xtask::testbed::{
    netns::Net,
    postgres::{Alone, Programs},
};

use crate::postgres::commits::{ALL, INSERT, QUIET, of, pid, watch};
use crate::postgres::watched::Lab;
use crate::support::program::PROGRAM;

/// A function that every server exports and none calls that is not built for debugging.
const NEVER_CALLED: &str = "ExceptionalCondition";
/// As of a compiler that has put these into their only callers.
const INLINED: [&str; 3] = ["XLogFlush", "SyncRepReleaseWaiters", "issue_xlog_fsync"];

/// What `tracer check --commits` says of the functions of a server, while its primary commits.
fn checked(lab: &Lab, servers: &[u32]) -> Vec<Value> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut sql = lab.pair.primary().connect().unwrap();
            while !over.load(Relaxed) {
                sql.query(INSERT).unwrap();
            }
        });
        let mut check = Command::new(PROGRAM);
        let output = check.args(["check", "--commits", "--json"]).output();
        over.store(true, Relaxed);
        let output = output.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let row = |server: &u32| {
            let name = format!("hooks, pid {server}");
            let mut rows = answer["checks"].as_array().unwrap().iter();
            let row = rows.find(|row| row["name"] == name.as_str());
            row.unwrap_or_else(|| panic!("no {name} in {answer}"))
                .clone()
        };
        servers.iter().map(row).collect()
    })
}

/// Whatever the server's version.
pub(crate) fn what_is_needed_is_seen_to_be_called(lab: &Lab) {
    let servers = [pid(lab.pair.primary()), pid(lab.pair.standby())];
    let rows = checked(lab, &servers);
    let words = [
        &[
            "AfterTriggerEndXact ",
            "XLogFlush ",
            "SyncRepWaitForLSN ",
            "WALRead",
            "SyncRepReleaseWaiters ",
        ][..],
        &["PQgetCopyData ", "issue_xlog_fsync ", "PQputCopyData "],
    ];
    for (row, words) in rows.iter().zip(words) {
        assert_eq!(row["ok"], true, "{row}");
        let found = row["found"].as_str().unwrap();
        assert!(found.starts_with("seen within 3 s: "), "{found}");
        assert!(!found.contains("nothing needed"), "{found}");
        for word in words {
            assert!(found.contains(word), "{word}: {found}");
        }
    }
}

#[test]
fn every_function_that_is_needed_is_seen_to_be_called() {
    what_is_needed_is_seen_to_be_called(&Lab::start("pghooks"));
}

#[test]
fn a_server_that_does_nothing_is_idle() {
    let lab = Lab::start("pghooksidle");
    let mut check = Command::new(PROGRAM);
    let output = check.args(["check", "--commits=200ms"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let name = format!("?    hooks, pid {}", pid(lab.pair.primary()));
    assert!(text.contains(&name), "{text}");
    assert!(text.contains("idle: no transaction"), "{text}");
}

/// What becomes of a symbol in the copy of a program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It leads to a function that is never called.
    Dead,
    /// It has another name.
    Renamed,
}

/// A copy of a program, in which that becomes of these names.
fn without(program: &Path, names: &[&str], fate: Fate, copy: &Path) {
    let mut image = fs::read(program).unwrap();
    let number = |image: &[u8], at: usize, bytes: usize| {
        let bytes = image[at..at + bytes].iter().rev();
        bytes.fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte))
    };
    // ELF64: the section headers, their size and how many there are.
    let (first, size, count) = (
        number(&image, 0x28, 8),
        number(&image, 0x3a, 2),
        number(&image, 0x3c, 2),
    );
    let mut patched = 0;
    for section in (0..count).map(|section| first + section * size) {
        // SHT_SYMTAB or SHT_DYNSYM.
        if ![2, 11].contains(&number(&image, section + 4, 4)) {
            continue;
        }
        let (symbols, length) = (
            number(&image, section + 0x18, 8),
            number(&image, section + 0x20, 8),
        );
        let strings = first + number(&image, section + 0x28, 4) * size;
        let strings = number(&image, strings + 0x18, 8);
        let symbols: Vec<usize> = (symbols..symbols + length).step_by(24).collect();
        let is = |image: &[u8], symbol: usize, name: &str| {
            let at = strings + number(image, symbol, 4);
            image[at..].starts_with(name.as_bytes()) && image[at + name.len()] == 0
        };
        let never = symbols.iter().find(|one| is(&image, **one, NEVER_CALLED));
        let Some(never) = never.map(|one| image[one + 8..one + 16].to_vec()) else {
            continue;
        };
        for symbol in symbols {
            if names.iter().any(|name| is(&image, symbol, name)) {
                match fate {
                    Fate::Dead => image[symbol + 8..symbol + 16].copy_from_slice(&never),
                    // The name begins with its second letter.
                    Fate::Renamed => {
                        let name = u32::try_from(number(&image, symbol, 4)).unwrap() + 1;
                        image[symbol..symbol + 4].copy_from_slice(&name.to_le_bytes());
                    }
                }
                patched += 1;
            }
        }
    }
    assert!(patched >= names.len(), "{patched}");
    fs::write(copy, image).unwrap();
    fs::set_permissions(copy, fs::Permissions::from_mode(0o755)).unwrap();
}

fn reason<'a>(hooks: &'a [HookReport], function: &str) -> Option<&'a str> {
    let found = hooks.iter().find(|hook| hook.function == function);
    found
        .unwrap_or_else(|| panic!("{hooks:?}"))
        .reason
        .as_deref()
}

/// This machine's programs, with a copy of the server's in which that becomes of these names.
fn changed(folder: &Path, names: &[&str], fate: Fate) -> Programs {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let programs = Programs::own().unwrap();
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    let copy = bin.join("postgres");
    // Where the library of the walreceivers is looked for.
    let library = programs.path("../lib");
    symlink(library, folder.join("lib")).unwrap();
    without(&programs.path("postgres"), names, fate, &copy);
    programs.with_server(copy)
}

#[test]
fn a_program_without_a_function_of_walsenders_hides_nobody_else_s_waits() {
    let folder = tempfile::tempdir().unwrap();
    let release = "SyncRepReleaseWaiters";
    let programs = changed(folder.path(), &[release], Fate::Renamed);
    let lab = Lab::start("pghookstwo");
    let net = Net::pair("pghooksbare", "ens160").unwrap();
    let alone = Alone::start_with(&programs, net.host("primary").unwrap(), QUIET).unwrap();
    let tool = watch(lab.primary(), ALL);
    let mut servers = [lab.pair.primary(), alone.server()].map(|one| one.connect().unwrap());
    for _ in 0..20 {
        for sql in &mut servers {
            sql.query(INSERT).unwrap();
        }
    }
    let seen = tool.finish();
    let whole = &of(&seen, pid(lab.pair.primary())).stages;
    assert!(whole.measured, "{whole:?}");
    assert_eq!(whole.standbys.len(), 1, "{whole:?}");
    let bare = of(&seen, pid(alone.server()));
    assert!(bare.commits >= 20, "{bare:?}");
    let why = format!("its program does not export {release}");
    assert_eq!(bare.stages.reason, Some(why), "{bare:?}");
}

#[test]
fn functions_that_were_inlined_are_named_and_nothing_rests_on_them() {
    let folder = tempfile::tempdir().unwrap();
    let programs = changed(folder.path(), &INLINED, Fate::Dead);
    let lab = Lab::of("pghooksdead", &programs);
    let (primary, standby) = (pid(lab.pair.primary()), pid(lab.pair.standby()));

    let rows = checked(&lab, &[primary, standby]);
    let found: Vec<_> = rows
        .iter()
        .map(|row| row["found"].as_str().unwrap())
        .collect();
    assert!(rows.iter().all(|row| row["ok"] == false), "{rows:?}");
    assert!(
        found[0].contains("XLogFlush was never called although"),
        "{}",
        found[0]
    );
    assert!(
        found[0].contains("SyncRepReleaseWaiters was never called although"),
        "{}",
        found[0]
    );
    assert!(
        found[1].contains("issue_xlog_fsync was never called although"),
        "{}",
        found[1]
    );

    let tool = watch(lab.primary(), ALL);
    let mut sql = lab.pair.primary().connect().unwrap();
    for _ in 0..20 {
        sql.query(INSERT).unwrap();
    }
    let seen = tool.finish();
    let server = of(&seen, primary);
    assert!(server.commits >= 20, "{server:?}");
    assert_eq!(server.flush.part.p50_ms, None, "{server:?}");
    assert!(server.wait.part.p50_ms > Some(0.0), "{server:?}");
    assert!(!server.stages.measured, "{server:?}");
    let why = server.stages.reason.as_deref().unwrap();
    assert!(
        why.starts_with("SyncRepReleaseWaiters was never called"),
        "{why}"
    );
    assert_eq!(reason(&server.hooks, "SyncRepReleaseWaiters"), Some(why));
    assert!(reason(&server.hooks, "XLogFlush").is_some(), "{server:?}");
    assert_eq!(reason(&server.hooks, "AfterTriggerEndXact"), None);
    let mut standbys = seen.commits().walreceivers.iter();
    let received = standbys.find(|one| one.server_pid == standby).unwrap();
    assert!(!received.measured, "{received:?}");
    assert!(
        reason(&received.hooks, "issue_xlog_fsync").is_some(),
        "{received:?}"
    );
    assert_eq!(received.stages.flush.part.p50_ms, None);
    let warned = seen.warnings().iter().any(|one| one.contains("XLogFlush"));
    assert!(warned, "{:?}", seen.warnings());
}
