//! How many files may be open: raised where that is allowed, and said where it is not.

use std::{fs, os::unix::process::CommandExt as _, process::Output};

use nix::sys::resource::{Resource, setrlimit};
use xtask::testbed::netns::Netns;

use crate::support::{program::PROGRAM, tool::Tool};

/// Namespaces of the test's own.
const MANY: usize = 100;
/// Those that tests beside this one make or remove meanwhile.
const OTHERS: usize = 40;

/// A run of all that takes descriptors, with these limits.
fn limited(netns: &Netns, soft: u64, hard: u64) -> Output {
    let mut command = netns.command(PROGRAM);
    command.args(["run", "--all", "--commits", "--quiet", "--duration", "0.3"]);
    // Nobody is there: that is a gap in the report, and no error.
    command.args([
        "--pg",
        "host=127.0.0.1 port=1 user=me",
        "--listen",
        "127.0.0.1:0",
    ]);
    // SAFETY: between fork and exec it makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(move || Ok(setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?));
    }
    command.output().unwrap()
}

#[test]
fn a_low_soft_limit_is_raised() {
    let netns = Netns::new("softlim", "alone").unwrap();
    for soft in [10, 24, 40] {
        let output = limited(&netns, soft, 4096);
        assert!(output.status.success(), "{soft}: {output:?}");
    }
}

#[test]
fn a_low_hard_limit_is_told_as_what_it_is() {
    let netns = Netns::new("hardlim", "alone").unwrap();
    let (mut refused, mut ran) = (0, 0);
    for hard in (8..=96).step_by(4) {
        let output = limited(&netns, hard, hard);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "{hard}: {said}");
        match output.status.code() {
            Some(0) => ran += 1,
            Some(1) => {
                refused += 1;
                for words in ["files", "ulimit", "LimitNOFILE="] {
                    assert!(said.contains(words), "{hard}: {said}");
                }
                assert!(!said.contains("erifier"), "{hard}: {said}");
            }
            other => panic!("{hard}: {other:?}: {said}"),
        }
    }
    assert!(refused >= 5 && ran >= 1, "{refused} refused, {ran} ran");
}

fn descriptors(tool: &Tool) -> usize {
    let folder = format!("/proc/{}/fd", tool.pid());
    fs::read_dir(folder).unwrap().count()
}

/// Each network namespace takes two: itself, and its counters.
#[test]
fn a_namespace_takes_two_descriptors() {
    let many: Vec<Netns> = (0..MANY)
        .map(|number| Netns::new("fds", &number.to_string()).unwrap())
        .collect();
    let one = Tool::start(&many[0], &["--all"]).unwrap();
    let alone = descriptors(&one);
    one.finish().unwrap();
    let all = Tool::start(
        &many[0],
        &["--all", "--netns", "all", "--listen", "127.0.0.1:0"],
    );
    let all = all.unwrap();
    let held = descriptors(&all) - alone;
    let report = all.finish().unwrap();
    let traced = report.namespaces.len();
    println!("{held} descriptors more for {} namespaces more", traced - 1);
    assert!(traced > MANY, "{traced}");
    // The endpoint of --listen has a few of its own.
    assert!(held <= 2 * (traced - 1) + 10, "{held} for {traced}");

    // What does not suffice for all of them is said, and not a part of them traced.
    let mut command = many[0].command(PROGRAM);
    command.args([
        "run",
        "--all",
        "--netns",
        "all",
        "--duration",
        "0.1",
        "--quiet",
    ]);
    let limit = (MANY + OTHERS) as u64;
    // SAFETY: between fork and exec it makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(move || Ok(setrlimit(Resource::RLIMIT_NOFILE, limit, limit)?));
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("LimitNOFILE="), "{said}");
}
