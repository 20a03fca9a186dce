//! What the command line promises: exit codes, one line for what is wrong, and
//! nothing left behind.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Output, Stdio},
};

use anyhow::Result;
use aya::programs::loaded_programs;
use nix::sys::signal::Signal;
use xtask::testbed::{
    command::Running,
    netns::{Net, Netns},
    wait,
};

use crate::support::{
    fault::SLIGHT,
    program::{FAILURE, PROGRAM, USAGE, assert_refused, names, tracer},
    report::Report,
    rights::root_with,
    storm::LIMIT,
    tool::Tool,
};

const PEER: [&str; 3] = ["run", "--peer", "10.0.10.3"];

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    let fault = |more: &[&'static str]| [&PEER[..], &["--inject"], more].concat();
    let with = |more: &[&'static str]| [&PEER[..], more].concat();
    for (arguments, words) in [
        (
            vec!["run", "--all", "--inject", "corrupt=5%", "--for", "5s"],
            &["--peer", "whom to hit"][..],
        ),
        (
            vec!["run", "--peer", "db1.example"],
            &["--peer", "db1.example"][..],
        ),
        (vec!["run", "--peer", "10.0.10.300"], &["10.0.10.300"]),
        (vec!["run", "--peer", "10.0.10.3/24"], &["10.0.10.0/24"]),
        (with(&["--duration", "0"]), &["--duration", "`0`"]),
        (with(&["--duration", "soon"]), &["--duration", "soon"]),
        (with(&["--interval", "1ms"]), &["--interval", "1ms"]),
        (
            fault(&["corrupt=50%"]),
            &["--inject", "--for", "--duration"],
        ),
        (
            fault(&["corrupt=101%", "--for", "5s"]),
            &["101%", "at most 100"],
        ),
        (
            fault(&["corrupt=x%", "--for", "5s"]),
            &["\"x%\"", "corrupt=50%"],
        ),
        (
            fault(&["explode=5%", "--for", "5s"]),
            &["explode", "it knows"],
        ),
        (
            fault(&["delay=100", "--for", "5s"]),
            &["needs a unit", "delay=100ms"],
        ),
        (
            fault(&["loss=0,1%", "--for", "5s"]),
            &["write a decimal point: 0.1%"],
        ),
        (
            fault(&["loss=1%", "--for", "1,5s"]),
            &["--for", "decimal point: `1.5s`"],
        ),
        (
            fault(&["loss=1%", "--for", "5s", "--after", "0,5s"]),
            &["--after", "decimal point: `0.5s`"],
        ),
        (
            with(&["--duration", "1,5"]),
            &["--duration", "decimal point: `1.5`"],
        ),
        (
            fault(&["corrupt=5%", "--for", "5s", "--netns", "all"]),
            &["--netns"],
        ),
    ] {
        assert_refused(&tracer(&arguments), USAGE, words);
    }
}

#[test]
fn what_cannot_be_parsed_is_wrong_usage() {
    for (arguments, word) in [
        (&["run"][..], "--peer"),
        (&["run", "--all", "--peer", "10.0.10.3"], "--peer"),
        (&["run", "--all", "--port", "0"], "--port"),
        (&["walk"], "walk"),
    ] {
        assert_refused(&tracer(arguments), USAGE, &[word, "--help"]);
    }
}

#[test]
fn what_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none/run.json");
    let missing = missing.to_str().unwrap();
    let occupied = folder.path().to_str().unwrap();
    for option in ["--json", "--events", "--ready-file"] {
        let output = tracer(&[&PEER[..], &[option, missing]].concat());
        assert_refused(&output, FAILURE, &[option, missing]);
    }
    for option in ["--json", "--events"] {
        let output = tracer(&[&PEER[..], &[option, occupied]].concat());
        assert_refused(&output, FAILURE, &[option, occupied]);
    }
    let json = folder.path().join("run.json");
    let json = ["--json", json.to_str().unwrap()];
    let netns = ["--netns", "tracer-no-such"];
    let output = tracer(&[&PEER[..], &netns, &json].concat());
    assert_refused(&output, FAILURE, &["tracer-no-such"]);
    let file = ["--netns", "/proc/version"];
    let output = tracer(&[&PEER[..], &file, &json].concat());
    assert_refused(&output, FAILURE, &["/proc/version"]);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn an_unknown_interface_is_named() {
    let net = Net::pair("noif", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("run.json");
    let output = host
        .netns
        .command(PROGRAM)
        .args(PEER)
        .args([
            "--inject",
            "corrupt=5%",
            "--for",
            "5s",
            "--interface",
            "eth7",
        ])
        .arg("--json")
        .arg(&json)
        .output()
        .unwrap();
    assert_refused(&output, USAGE, &["eth7"]);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn without_privileges_nothing_begins() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("run.json");
    let way = root_with(&[]);
    let output = Command::new(&way[0])
        .args(&way[1..])
        .arg(PROGRAM)
        .args(PEER)
        .arg("--json")
        .arg(&json)
        .output()
        .unwrap();
    assert_refused(&output, FAILURE, &["CAP_BPF", "sudo"]);
    assert_eq!(names(folder.path()), [""; 0]);
}

/// A namespace with one host, whose peer nobody has ever talked to.
fn alone(tag: &str) -> Netns {
    Netns::new(tag, "alone").unwrap()
}

#[test]
fn a_peer_that_is_never_seen_is_a_warning() {
    let netns = alone("never");
    let tool = Tool::start(&netns, &["--peer", "10.0.10.3", "--duration", "0.1"]).unwrap();
    let ended = tool.ended().unwrap();
    let report = ended.report().unwrap();
    let warned = |text: &str| text.contains("10.0.10.3") && text.contains("seen");
    let warnings = &report.warnings;
    assert!(warnings.iter().any(|text| warned(text)), "{warnings:?}");
    assert!(warned(&ended.stdout), "{}", ended.stdout);
    report.check();
}

#[test]
fn quiet_is_quiet() {
    let netns = alone("quiet");
    let arguments = ["--all", "--duration", "0.3", "--interval", "0.1", "--quiet"];
    let ended = Tool::start(&netns, &arguments).unwrap().ended().unwrap();
    ended.report().unwrap().check();
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
}

#[test]
fn every_polite_end_leaves_the_report() {
    let netns = alone("polite");
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let tool = Tool::start(&netns, &["--all"]).unwrap();
        tool.signal(signal).unwrap();
        let ended = tool.ended().unwrap();
        ended.report().unwrap().check();
        assert_eq!(ended.leftovers().unwrap(), [""; 0], "{signal}");
    }
}

#[test]
fn killed_it_leaves_nothing_in_the_kernel() {
    let netns = alone("killed");
    let tool = Tool::start(&netns, &["--all"]).unwrap();
    let programs = programs_of(&tool).unwrap();
    assert!(programs.len() >= 6, "{programs:?}");
    tool.signal(Signal::SIGKILL).unwrap();
    let ended = tool.ended().unwrap();
    assert!(!ended.status.success());
    assert!(ended.written().is_err());
    // The kernel frees programs a little later.
    wait::until(LIMIT, "the programs to go", || {
        let left = loaded_programs()
            .filter_map(Result::ok)
            .any(|program| programs.contains(&program.id()));
        Ok((!left).then_some(()))
    })
    .unwrap();
}

/// Ids of the kernel programs that it holds.
fn programs_of(tool: &Tool) -> Result<Vec<u32>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(format!("/proc/{}/fdinfo", tool.pid()))? {
        let text = fs::read_to_string(entry?.path())?;
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("prog_id:"));
        for id in lines {
            ids.push(id.trim().parse()?);
        }
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

#[test]
fn a_closed_pipe_is_an_end_and_no_error() {
    let netns = alone("pipe");
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("run.json");
    let mut child = netns
        .command(PROGRAM)
        .args(["run", "--all", "--interval", "0.1", "--duration", "60"])
        .arg("--json")
        .arg(&json)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let stderr = child.stderr.take().unwrap();
    let running = Running::new(child, "tracer");
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(!line.is_empty());
    drop(stdout);
    assert!(running.wait(Some(LIMIT)).unwrap().success());
    assert_eq!(std::io::read_to_string(stderr).unwrap(), "");
    let report = Report::read(&fs::read(&json).unwrap()).unwrap();
    report.check();
    let window = report.window.duration_s;
    assert!(window < 60.0, "{window}");
}

#[test]
fn json_on_standard_output_is_nothing_but_json() {
    let netns = alone("stdout");
    let mut command = netns.command(PROGRAM);
    let arguments = ["run", "--all", "--duration", "0.2", "--json", "-"];
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success());
    Report::read(&output.stdout).unwrap().check();
}

#[test]
fn a_full_disk_fails_and_leaves_nothing() {
    let netns = alone("full");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    // A file system of one page, full, that nobody else ever sees.
    let script = "mount -t tmpfs -o size=4k tmpfs \"$1\" && cd \"$1\" && \
                  head -c 4096 /dev/zero > fill || exit 99; \
                  \"$2\" run --all --duration 0.1 --quiet --json \"$1/run.json\"; \
                  code=$?; ls -A; exit $code";
    let output = netns
        .command("unshare")
        .args(["--mount", "--propagation", "private"])
        .args(["sh", "-c", script, "sh", path, PROGRAM])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "fill\n");
    let refused = Output {
        stdout: Vec::new(),
        ..output
    };
    assert_refused(&refused, FAILURE, &["--json", path, "space"]);
}

#[test]
fn a_full_device_fails_and_is_named() {
    let netns = alone("device");
    let mut command = netns.command(PROGRAM);
    let arguments = ["run", "--all", "--duration", "0.1", "--quiet"];
    command.args(arguments).args(["--json", "/dev/full"]);
    assert_refused(
        &command.output().unwrap(),
        FAILURE,
        &["--json", "/dev/full"],
    );
}

#[test]
fn one_file_cannot_be_two() {
    let folder = tempfile::tempdir().unwrap();
    let (one, detour) = (folder.path().join("a"), folder.path().join(".").join("a"));
    let (one, detour) = (one.to_str().unwrap(), detour.to_str().unwrap());
    for two in [
        ["--json", "--events"],
        ["--json", "--ready-file"],
        ["--events", "--ready-file"],
    ] {
        let output = tracer(&[&PEER[..], &[two[0], one, two[1], detour]].concat());
        assert_refused(&output, USAGE, &[two[0], two[1], "same file"]);
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn what_another_made_is_no_ready_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    fs::write(&path, "precious\n").unwrap();
    let path = path.to_str().unwrap();
    for arguments in [&PEER[..], &SLIGHT] {
        let output = tracer(&[arguments, &["--ready-file", path]].concat());
        assert_refused(&output, FAILURE, &["--ready-file", path, "did not make"]);
    }
    assert_eq!(fs::read(path).unwrap(), b"precious\n");
}
