//! `tracer check` on a real kernel: what it says, as root and as somebody who may
//! nothing, and that it leaves everything as it was. Needs root.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use aya::programs::loaded_programs;
use caps::Capability;
use serde_json::Value;
use tracer::kernel::preflight;
use xtask::testbed::netns::{Host, Net, Netns};
use xtask::testbed::postgres::Pair;
use xtask::testbed::wait;

use crate::support::program::PROGRAM;
use crate::support::rights::{TRACING, nobody, root_with, user_with};
use crate::support::surroundings;

const LIMIT: Duration = Duration::from_secs(30);
/// Those that every kernel has; `tcp_bad_csum` is newer.
const PROGRAMS: [&str; 5] = [
    "inet_sock_set_state",
    "tcp_retransmit_synack",
    "tcp_send_reset",
    "tcp_receive_reset",
    "tcp_retransmit_skb",
];

/// The answer, as any reader of the JSON sees it.
struct Answer(Value);

impl Answer {
    /// What it printed; the exit code has to go with it.
    fn new(output: &Output) -> Self {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(errors, "");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["schema"], "tracer.check/1");
        let can_run = json["can_run"] == true;
        assert_eq!(output.status.code(), Some(i32::from(!can_run)), "{json}");
        let answer = Self(json);
        for row in answer.rows() {
            let gap = row["ok"] == false;
            assert_eq!(row["consequence"].is_string(), gap, "{row}");
            assert_eq!(row["remedy"].is_string(), gap, "{row}");
            assert_ne!(row["found"], "", "{row}");
        }
        answer
    }

    fn rows(&self) -> &[Value] {
        self.0["checks"].as_array().unwrap()
    }

    fn row(&self, name: &str) -> &Value {
        let found = self.rows().iter().find(|row| row["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }

    fn ok(&self, name: &str) -> Option<bool> {
        self.row(name)["ok"].as_bool()
    }

    fn found(&self, name: &str) -> &str {
        self.row(name)["found"].as_str().unwrap()
    }
}

fn check(netns: &Netns, arguments: &[&str]) -> Output {
    let mut command = netns.command(PROGRAM);
    command.arg("check").args(arguments).output().unwrap()
}

/// Every kernel that tests run on can do this much.
#[test]
fn root_can_run_and_sees_what_there_is() {
    let netns = Netns::new("checkroot", "alone").unwrap();
    let output = check(&netns, &["--json"]);
    let answer = Answer::new(&output);
    assert_eq!(answer.0["can_run"], true, "{}", answer.0);
    for name in ["release", "BTF", "required fields", "CAP_BPF", "uprobes"]
        .iter()
        .chain(&PROGRAMS)
    {
        assert_eq!(answer.ok(name), Some(true), "{}", answer.row(name));
    }
    assert_eq!(answer.ok("engine bpf: program"), Some(true));
    // As root everything that was asked can be found out.
    for name in [
        "failed retransmits",
        "tcp_bad_csum",
        "engine bpf: TCX link",
        "engine bpf: clsact",
        "qdisc netem",
        "qdisc prio",
        "classifier bpf",
        "tracefs",
    ] {
        assert!(answer.ok(name).is_some(), "{}", answer.row(name));
    }
    assert_eq!(answer.ok("interface"), None);
    assert_eq!(answer.found("interface"), "not asked; give --peer");

    let text = check(&netns, &[]);
    assert!(text.status.success());
    let text = String::from_utf8(text.stdout).unwrap();
    for row in answer.rows() {
        // Of servers, some may have come or gone.
        let name = row["name"].as_str().unwrap();
        let is_of_server = name.starts_with("server") || name.contains("pid ");
        assert!(is_of_server || text.contains(name), "{name}");
    }
    assert!(text.ends_with("`tracer run` can work here.\n"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

/// What a fault, or a trial, could have changed; nothing that a new interface
/// still does by itself, such as getting its carrier and an address of its own.
fn state(host: &Host) -> String {
    let run = |program, arguments: &[&str]| host.netns.run(program, arguments).unwrap();
    let links = run("ip", &["-o", "link"]);
    let names: Vec<_> = links
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .collect();
    [
        names.join(" "),
        run("ip", &["-4", "address", "show", "scope", "global"])
            .lines()
            .filter(|line| line.contains("inet "))
            .collect(),
        surroundings::surroundings(host).unwrap(),
    ]
    .concat()
}

#[test]
fn the_interface_toward_a_peer_is_looked_at_and_left_as_it_is() {
    let net = Net::pair("check", "ens160").unwrap();
    let (host, peer) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let before = state(host);
    for ipv6 in [false, true] {
        let peer = peer.address(ipv6).to_string();
        let answer = Answer::new(&check(&host.netns, &["--json", "--peer", &peer]));
        assert_eq!(answer.ok("interface"), Some(true));
        assert_eq!(answer.found("interface"), "ens160");
        assert_eq!(answer.ok("offloads"), Some(true));
        assert!(answer.found("offloads").contains("tx-checksum-ip-generic"));
        assert_eq!(answer.ok("fault toward it"), Some(true));
    }
    assert_eq!(state(host), before);

    // From outside, by the namespace's name.
    let arguments = ["check", "--json", "--interface", "ens160", "--netns"];
    let mut outside = Command::new(PROGRAM);
    let outside = outside.args(arguments).arg(host.netns.name());
    let answer = Answer::new(&outside.output().unwrap());
    assert_eq!(answer.ok("network namespace"), Some(true));
    assert_eq!(answer.found("interface"), "ens160");

    host.offloads(&["tx", "tso", "gso"], false).unwrap();
    let peer = peer.v4.to_string();
    let answer = Answer::new(&check(&host.netns, &["--json", "--peer", &peer]));
    assert_eq!(answer.ok("offloads"), Some(true));
    assert!(answer.found("offloads").contains("none is on"));
}

#[test]
fn what_would_be_refused_is_said_and_a_run_can_work_all_the_same() {
    let net = Net::pair("checkno", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let gap = |arguments: &[&str], name: &str, words: &str| {
        let answer = Answer::new(&check(&host.netns, &[&["--json"], arguments].concat()));
        assert_eq!(answer.ok(name), Some(false), "{}", answer.0);
        let row = answer.row(name).to_string();
        assert!(row.contains(words), "{row}");
        answer
    };
    for (arguments, name, words) in [
        (["--peer", "203.0.113.1"], "interface", "no route"),
        (["--peer", "127.0.0.1"], "fault toward it", "loopback"),
        (["--interface", "eth7"], "interface", "eth7"),
    ] {
        let answer = gap(&arguments, name, words);
        assert_eq!(answer.0["can_run"], true);
    }
    let route = ["route", "add", "default", "via", "10.0.10.3"];
    host.netns.run("ip", &route).unwrap();
    gap(
        &["--peer", "10.0.10.3"],
        "fault toward it",
        "--allow-gateway",
    );
    // There a run does not begin.
    let missing = gap(
        &["--netns", "tracer-no-such"],
        "network namespace",
        "tracer-no-such",
    );
    assert_eq!(missing.0["can_run"], false);
    assert_eq!(missing.ok("interface"), None);
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    for arguments in [
        &["check", "--peer", "db1.example"][..],
        &["check", "--fast"],
    ] {
        let output = Command::new(PROGRAM).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

/// Runs the program by way of another one, from where everybody may read it.
fn by(way: &[String], arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("tracer");
    fs::copy(PROGRAM, &program).unwrap();
    Command::new(&way[0])
        .args(&way[1..])
        .arg(&program)
        .arg("check")
        .args(arguments)
        .current_dir("/")
        .output()
        .unwrap()
}

#[test]
fn without_privileges_nothing_is_claimed_that_was_not_found_out() {
    for way in [nobody(), root_with(&[])] {
        let output = by(&way, &["--json", "--netns", "/proc/1/ns/net"]);
        let answer = Answer::new(&output);
        assert_eq!(answer.0["can_run"], false);
        for row in answer.rows() {
            let group = row["group"].as_str().unwrap();
            let ok = row["ok"].as_bool();
            match group {
                "capabilities" => assert_eq!(ok, Some(false), "{row}"),
                "programs" | "fault" => assert_ne!(ok, Some(true), "{row}"),
                _ => {}
            }
        }
        for name in PROGRAMS {
            assert_eq!(answer.ok(name), None, "{}", answer.row(name));
        }
        let text = by(&way, &[]);
        assert_eq!(text.status.code(), Some(1));
        let text = String::from_utf8(text.stdout).unwrap();
        let conclusion = "`tracer run` cannot work here: CAP_BPF, CAP_PERFMON.\n";
        assert!(text.ends_with(conclusion), "{text}");
    }
    let answer = Answer::new(&by(&nobody(), &["--json", "--netns", "/proc/1/ns/net"]));
    assert_eq!(answer.ok("network namespace"), Some(false));
    assert_eq!(
        answer.row("network namespace")["remedy"],
        "run it with sudo"
    );
}

/// Root of a container is not the kernel's.
#[test]
fn capabilities_of_a_user_namespace_do_not_count() {
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--", PROGRAM])
        .args(["check", "--json"])
        .output()
        .unwrap();
    let answer = Answer::new(&output);
    assert_eq!(answer.0["can_run"], false);
    assert_eq!(answer.ok("CAP_BPF"), Some(false));
    assert!(answer.found("CAP_BPF").contains("user namespace"));
    for name in PROGRAMS {
        assert_eq!(answer.ok(name), None, "{}", answer.row(name));
    }
}

/// A run says so, too, before anything is refused for no reason that helps.
#[test]
fn a_run_in_a_user_namespace_names_it() {
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--", PROGRAM])
        .args(["run", "--all", "--duration", "1s"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("only in a user namespace") && told.contains("the host's root"),
        "{told}"
    );
}

/// What is held is not what is missing: kernels since July 2025 want another one.
#[test]
fn what_uprobes_want_is_found_out_by_trying() {
    let with = |more: &[&str]| {
        let way = root_with(&[&TRACING[..], &["sys_ptrace"], more].concat());
        Answer::new(&by(&way, &["--json"]))
    };
    let all = with(&["sys_admin"]);
    assert_eq!(all.ok("uprobes"), Some(true), "{}", all.row("uprobes"));
    let few = with(&[]);
    let row = few.row("uprobes");
    if few.ok("uprobes") == Some(false) {
        assert!(
            few.found("uprobes").ends_with("CAP_SYS_ADMIN is missing"),
            "{row}"
        );
        assert_eq!(row["remedy"], "run it with sudo");
    } else {
        assert_eq!(few.ok("uprobes"), Some(true), "{row}");
    }
    // Without the other one, that one is named.
    let none = Answer::new(&by(&root_with(&["bpf"]), &["--json"]));
    assert_eq!(none.ok("uprobes"), Some(false));
    assert!(
        none.found("uprobes").ends_with("CAP_PERFMON is missing"),
        "{}",
        none.row("uprobes")
    );
}

/// A user that nobody else is: the kernel remembers who loaded a program.
const SOMEBODY: u32 = 2_000_000_011;

#[test]
fn nothing_is_left_in_the_kernel() {
    let named = || {
        let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        // Other tests make theirs at the same time.
        let mut names: Vec<_> = names.filter(|name| !name.starts_with("tracer-")).collect();
        names.sort();
        names
    };
    let before = named();
    // Kernels before 5.11 count maps as locked memory; not every root may raise
    // its limit.
    let mut capabilities = vec!["bpf", "perfmon", "sys_admin", "net_admin"];
    if preflight::holds(Capability::CAP_SYS_RESOURCE) {
        capabilities.push("sys_resource");
    }
    let way = user_with(SOMEBODY, &capabilities);
    let answer = Answer::new(&by(&way, &["--json"]));
    for name in PROGRAMS {
        assert_eq!(answer.ok(name), Some(true), "{}", answer.row(name));
    }
    assert_eq!(answer.ok("CAP_SYS_PTRACE"), Some(false));
    assert_eq!(answer.0["can_run"], true);
    // The kernel frees programs a little later.
    wait::until(LIMIT, "the programs to go", || {
        let left = loaded_programs()
            .filter_map(Result::ok)
            .any(|program| program.created_by_uid() == Some(SOMEBODY));
        Ok((!left).then_some(()))
    })
    .unwrap();
    assert_eq!(named(), before);
}

#[test]
fn running_servers_are_found_with_their_symbols() {
    let net = Net::pair("checkpg", "ens160").unwrap();
    let (primary, standby) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let pair = Pair::start(primary, standby).unwrap();
    let servers = [pair.primary().pid(), pair.standby().pid()];
    let names = servers.map(|pid| format!("server, pid {pid}"));

    let answer = Answer::new(&check(&primary.netns, &["--json"]));
    for name in &names {
        assert_eq!(answer.ok(name), Some(true), "{}", answer.row(name));
        let found = answer.found(name);
        assert!(
            found.starts_with("version 1") && found.contains("/postgres"),
            "{found}"
        );
    }
    for pid in servers {
        for followed in ["waits", "WAL received"] {
            let name = format!("{followed}, pid {pid}");
            assert_eq!(answer.ok(&name), Some(true), "{}", answer.row(&name));
        }
    }
    // Their other processes are no servers: of each group there is one.
    let parents = answer.rows().iter().filter_map(|row| {
        let pid = row["name"].as_str()?.strip_prefix("server, pid ")?;
        fs::read_to_string(format!("/proc/{pid}/status")).ok()
    });
    let child = |status: &String| {
        let is_child = |pid: &nix::unistd::Pid| status.contains(&format!("PPid:\t{pid}\n"));
        servers.iter().any(is_child)
    };
    assert_eq!(parents.filter(child).count(), 0);

    let answer = Answer::new(&by(&nobody(), &["--json"]));
    for name in &names {
        assert_eq!(answer.ok(name), None, "{}", answer.row(name));
    }
}

/// What is asked after is quoted, and does nothing to a terminal.
#[test]
fn names_that_were_typed_are_text() {
    let evil = "own\u{1b}[2J\u{9b}1m\u{202e}\nx";
    let net = Net::pair("chkevil", "ens160").unwrap();
    let netns = &net.host("primary").unwrap().netns;
    for arguments in [
        &["--interface", evil][..],
        &["--interface", evil, "--json"],
        &["--peer", "10.0.10.3", "--netns", evil],
    ] {
        let output = check(netns, arguments);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(said.contains("own"), "{said:?}");
        let harmful = |&c: &char| tracer_core::text::does_harm(c) && c != '\n';
        assert_eq!(said.chars().find(harmful), None, "{said:?}");
    }
}
