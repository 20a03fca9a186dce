//! What the death of a guard leaves behind, and what `--status` and `clean` make of it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use xtask::testbed::{
    command::Running,
    netns::{Host, Net},
};

use super::{
    LIMIT,
    helper::settle,
    interface::{OFF, features, index},
};
use crate::contract;
use crate::support::fault::SLIGHT;
use crate::support::program::PROGRAM;

/// A `/run/tracer` of a host's own: `clean` undoes every fault that it finds a record
/// of, other tests' as well.
struct Apart<'a> {
    host: &'a Host,
    /// What the mounts live as long as.
    keeper: Child,
}

impl<'a> Apart<'a> {
    fn new(host: &'a Host) -> Result<Self> {
        let mount = "mkdir -p /run/tracer && mount -t tmpfs none /run/tracer && echo && read _";
        let mut keeper = Command::new("unshare")
            .args(["--mount", "--", "sh", "-c", mount])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = keeper.stdout.take().context("no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "\n", "nothing was mounted");
        Ok(Self { host, keeper })
    }

    fn command(&self) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter
            .arg(format!("--mount=/proc/{}/ns/mnt", self.keeper.id()))
            .arg(format!("--net={}", self.host.netns.path().display()))
            .args(["--", PROGRAM])
            .stdin(Stdio::null());
        nsenter
    }

    /// A path inside, as it is seen from outside.
    fn path(&self, inside: &str) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.keeper.id())).join(inside.trim_start_matches('/'))
    }

    fn record_path(&self) -> PathBuf {
        let inode = fs::metadata(self.host.netns.path()).unwrap().ino();
        self.path(&format!(
            "/run/tracer/fault-{inode}-{}.json",
            index(self.host)
        ))
    }

    /// Its exit code, and everything that it said.
    fn tracer(&self, arguments: &[&str]) -> Result<(Option<i32>, String)> {
        let output = self.command().args(arguments).output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8(said)?))
    }

    /// What `--status` says of the one fault; null if there is none.
    fn status(&self) -> Result<Value> {
        let (_, text) = self.tracer(&["inject", "--status", "--json", "-"])?;
        let status: Value = serde_json::from_str(&text).context(text)?;
        Ok(status["faults"][0].clone())
    }

    /// Makes a fault of a minute, and waits for it.
    fn fault(&self, more: &[&str]) -> Result<Running> {
        let folder = tempfile::tempdir()?;
        let ready = folder.path().join("ready");
        let mut command = self.command();
        command
            .args(["inject", "corrupt=50%", "--peer", "10.0.10.3"])
            .args(["--duration", "60s", "--quiet", "--allow-ssh-peer"])
            .args(more)
            .arg("--ready-file")
            .arg(&ready)
            .env("PGPASSWORD", "secret");
        let mut tool = Running::new(command.spawn()?, "tracer inject");
        settle(LIMIT, "the fault", || {
            ensure!(tool.ended()?.is_none(), "tracer ended");
            Ok(ready.exists())
        })?;
        let active = self.status()?;
        ensure!(active["active"] == true, "{active}");
        ensure!(active["interface_now"]["state"] == "as_before", "{active}");
        Ok(tool)
    }

    /// The guard of its fault.
    fn guard(&self) -> Result<Pid> {
        let guard = self.status()?["guard"].as_i64().context("no guard")?;
        Ok(Pid::from_raw(i32::try_from(guard)?))
    }

    /// Makes a fault and kills its guard with it, of which a record is left.
    fn leave_behind(&self) -> Result<()> {
        let tool = self.fault(&[])?;
        // The tool first, held: it would see that its guard is gone, and undo.
        kill(tool.pid(), Signal::SIGSTOP)?;
        for pid in [self.guard()?, tool.pid()] {
            kill(pid, Signal::SIGKILL)?;
        }
        settle(LIMIT, "the guard's death", || {
            Ok(self.status()?["active"] == false)
        })?;
        ensure!(features(self.host, "ens160").contains(OFF));
        ensure!(self.record_path().exists());
        Ok(())
    }

    /// What `clean` says, after which nothing is left.
    fn clean(&self) -> String {
        let (code, said) = self.tracer(&["clean"]).unwrap();
        let ours = |line: &&str| line.contains(self.host.netns.name());
        let lines: Vec<&str> = said.lines().filter(ours).collect();
        assert_eq!((code, lines.len()), (Some(0), 1), "{said}");
        assert!(self.status().unwrap().is_null(), "{said}");
        lines[0].to_owned()
    }
}

impl Drop for Apart<'_> {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

#[test]
fn clean_follows_an_interface_to_its_new_name() {
    let net = Net::pair("lname", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let apart = Apart::new(host).unwrap();
    let before = features(host, "ens160");
    apart.leave_behind().unwrap();
    host.netns
        .ip("link set ens160 down\nlink set ens160 name lan0\nlink set lan0 up\n")
        .unwrap();
    let now = apart.status().unwrap();
    assert_eq!(now["interface_now"]["state"], "renamed", "{now}");
    assert_eq!(now["interface_now"]["name"], "lan0", "{now}");
    let (_, said) = apart.tracer(&["inject", "--status"]).unwrap();
    assert!(said.contains("LEFT BEHIND"), "{said}");
    assert!(
        said.contains("interface ens160 is called lan0 now"),
        "{said}"
    );
    let said = apart.clean();
    assert!(
        said.contains("undone: the interface is called lan0 now"),
        "{said}"
    );
    assert_eq!(features(host, "lan0"), before);
}

#[test]
fn clean_follows_an_interface_to_another_namespace() {
    let net = Net::pair("lmove", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let elsewhere = xtask::testbed::netns::Netns::new("lmoved", "new").unwrap();
    let apart = Apart::new(host).unwrap();
    let before = features(host, "ens160");
    apart.leave_behind().unwrap();
    host.netns
        .ip(&format!("link set ens160 netns {}\n", elsewhere.name()))
        .unwrap();
    let now = apart.status().unwrap();
    assert_eq!(now["interface_now"]["state"], "moved", "{now}");
    let said = apart.clean();
    assert!(said.contains("in another network namespace now"), "{said}");
    assert!(said.contains(elsewhere.name()), "{said}");
    let now = elsewhere.run("ethtool", &["-k", "ens160"]).unwrap();
    assert_eq!(now.replace("ens160", "it"), before);
}

#[test]
fn clean_does_not_touch_who_has_the_index_now() {
    let net = Net::pair("lindex", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let apart = Apart::new(host).unwrap();
    apart.leave_behind().unwrap();
    let index = index(host);
    host.netns
        .ip(&format!(
            "link delete ens160\nlink add eth7 index {index} type veth peer name eth8\n"
        ))
        .unwrap();
    host.netns
        .run("ethtool", &["-K", "eth7", "tx", "off"])
        .unwrap();
    let off = features(host, "eth7");
    let now = apart.status().unwrap();
    assert_eq!(now["interface_now"]["state"], "replaced", "{now}");
    let said = apart.clean();
    assert!(
        said.contains("eth7, which has its index now, is another one"),
        "{said}"
    );
    assert_eq!(features(host, "eth7"), off);
}

#[test]
fn clean_knows_that_a_namespace_is_another_one_in_spite_of_its_inode() {
    for (name, value) in [
        ("netns_cookie", Value::from(1_u64 << 40)),
        ("boot_id", "an earlier boot".into()),
    ] {
        let net = Net::pair(&format!("linode{}", name.len()), "ens160").unwrap();
        let host = net.host("primary").unwrap();
        let apart = Apart::new(host).unwrap();
        apart.leave_behind().unwrap();
        let path = apart.record_path();
        let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert!(record["boot_id"].is_string(), "{record}");
        if record[name].is_null() {
            // Before Linux 5.14 there is none.
            continue;
        }
        record[name] = value;
        // Another interface of the same name and index, as every container has.
        record["marks"]["address"] = "02:00:00:00:00:99".into();
        fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
        let off = features(host, "ens160");
        let said = apart.clean();
        assert!(said.contains("undone: the interface is gone"), "{said}");
        assert_eq!(features(host, "ens160"), off, "{name}");
    }
}

#[test]
fn what_somebody_has_switched_on_already_stays() {
    let net = Net::pair("lon", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let apart = Apart::new(host).unwrap();
    let before = features(host, "ens160");
    apart.leave_behind().unwrap();
    host.netns
        .run("ethtool", &["-K", "ens160", "tx", "on"])
        .unwrap();
    let said = apart.clean();
    assert!(said.ends_with(": undone"), "{said}");
    assert_eq!(features(host, "ens160"), before);
}

#[test]
fn a_record_that_cannot_be_read_is_kept_and_told_of() {
    let net = Net::pair("llater", "ens160").unwrap();
    let apart = Apart::new(net.host("primary").unwrap()).unwrap();
    let path = apart.path("/run/tracer/fault-7-2.json");
    let look = |content: &str, arguments: &[&str]| {
        fs::write(&path, content).unwrap();
        let (code, said) = apart.tracer(arguments).unwrap();
        (code, said, path.exists())
    };
    let later = r#"{"netns":7,"interface":{"name":"eth0","index":2},"undo":[{"quantum":1}]}"#;
    let (code, said, kept) = look(later, &["inject", "--status"]);
    assert_eq!((code, kept), (Some(0), true), "{said}");
    assert!(
        said.contains("cannot read") && said.contains("fault-7-2.json"),
        "{said}"
    );
    let (code, said, kept) = look(later, &["inject", "--status", "--json", "-"]);
    assert_eq!((code, kept), (Some(0), true), "{said}");
    let status: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(status["unreadable"][0]["active"], false, "{status}");
    let (code, said, kept) = look(later, &["clean"]);
    assert_eq!((code, kept), (Some(1), true), "{said}");
    assert!(
        said.contains("NOT undone: this version of tracer cannot read"),
        "{said}"
    );

    // Nor does a new fault on its interface write over it.
    fs::write(apart.record_path(), later).unwrap();
    let (code, said) = apart.tracer(&SLIGHT).unwrap();
    assert!(code == Some(1) && said.contains("cannot read"), "{said}");
    assert_eq!(fs::read_to_string(apart.record_path()).unwrap(), later);
    fs::remove_file(apart.record_path()).unwrap();

    // What a guard leaves that is killed before it is ready stands for nothing, and
    // reading it changes nothing all the same.
    for half in ["", &later[..20]] {
        let (code, said, kept) = look(half, &["inject", "--status"]);
        assert_eq!((code, kept), (Some(0), true), "{said}");
        assert!(said.contains("no fault of tracer"), "{said}");
        let (code, said, kept) = look(half, &["clean"]);
        assert_eq!((code, kept), (Some(0), false), "{said}");
    }
}

#[test]
fn a_guard_has_its_name_no_inheritance_and_the_rights_to_undo() {
    let net = Net::pair("lguard", "ens160").unwrap();
    let apart = Apart::new(net.host("primary").unwrap()).unwrap();
    let mut tool = apart.fault(&[]).unwrap();
    let pid = apart.guard().unwrap();
    let file = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    assert_eq!(file("comm"), "tracer: guard\n");
    assert_eq!(file("cmdline"), "tracer:\0guard\0");
    assert_eq!(file("environ"), "", "a password of its parent's, for one");
    assert_eq!(
        fs::read_link(format!("/proc/{pid}/cwd")).unwrap(),
        Path::new("/")
    );
    assert_eq!(
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
        4,
        "the standard three and the record"
    );
    let status = file("status");
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().to_owned()
    };
    // CAP_NET_ADMIN, CAP_SYS_PTRACE and CAP_SYS_ADMIN.
    let needed: u64 = 1 << 12 | 1 << 19 | 1 << 21;
    for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
        let held = u64::from_str_radix(&of(set), 16).unwrap();
        assert_eq!(held & !needed, 0, "{set} {held:x}");
    }
    assert_eq!(of("NoNewPrivs:"), "1");
    // This test may not be permitted to lower its own either.
    let least = file("oom_score_adj");
    let may = of("CapBnd:");
    if u64::from_str_radix(&may, 16).unwrap() & 1 << 24 != 0 {
        assert_eq!(least, "-1000\n");
    }
    // And they suffice.
    let before = features(apart.host, "ens160");
    assert!(before.contains(OFF));
    kill(tool.pid(), Signal::SIGKILL).unwrap();
    settle(LIMIT, "the guard to undo", || {
        tool.ended()?;
        Ok(!features(apart.host, "ens160").contains(OFF) && apart.status()?.is_null())
    })
    .unwrap();
}

#[test]
fn clean_touches_no_fault_whose_tool_lives() {
    let net = Net::pair("lheld", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let apart = Apart::new(host).unwrap();
    let before = features(host, "ens160");
    let mut tool = apart.fault(&[]).unwrap();
    let guard = apart.guard().unwrap();
    // Stopped, it cannot see that its guard is gone.
    kill(tool.pid(), Signal::SIGSTOP).unwrap();
    kill(guard, Signal::SIGKILL).unwrap();
    settle(LIMIT, "the guard's death", || {
        let stat = fs::read_to_string(format!("/proc/{guard}/stat"));
        Ok(stat.is_ok_and(|stat| stat.contains(") Z ")))
    })
    .unwrap();
    let during = features(host, "ens160");
    let (code, said) = apart.tracer(&["clean"]).unwrap();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("not touched: it is active"), "{said}");
    assert_eq!(features(host, "ens160"), during);
    assert!(during.contains(OFF) && apart.record_path().exists());

    kill(tool.pid(), Signal::SIGCONT).unwrap();
    settle(LIMIT, "the end", || Ok(tool.ended()?.is_some())).unwrap();
    assert_eq!(features(host, "ens160"), before);
    assert!(!apart.record_path().exists());
}

#[test]
fn a_fault_whose_guard_is_killed_ends_and_says_so() {
    let net = Net::pair("lkilled", "ens160").unwrap();
    let host = net.host("primary").unwrap();
    let apart = Apart::new(host).unwrap();
    let before = features(host, "ens160");
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let mut tool = apart.fault(&["--json", json.to_str().unwrap()]).unwrap();
    kill(apart.guard().unwrap(), Signal::SIGKILL).unwrap();
    let mut status = None;
    settle(std::time::Duration::from_secs(20), "the end", || {
        status = tool.ended()?;
        Ok(status.is_some())
    })
    .unwrap();
    assert_eq!(status.unwrap().code(), Some(1), "not the fault asked for");
    let faults = contract::faults(&fs::read(json).unwrap()).unwrap();
    let fault = &faults[0];
    assert!(fault.guard_gone && fault.removed, "{fault:?}");
    assert_eq!(features(host, "ens160"), before);
    assert!(!apart.record_path().exists());
}
