//! Where a round happens: hosts, and a `/run/tracer` and a disk for the outputs that
//! nobody else sees.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::blow::{Output, What};
use super::plan::RoundPlan;
use crate::testbed::command;
use crate::testbed::netns::{Host, Net, Netns};
use crate::testbed::scratch_dir::ScratchDir;

/// Where the records of faults are.
pub(super) const RECORDS: &str = "/run/tracer";
/// What is in the place of a report before the run.
pub(super) const OLD: &str = "{\"schema\":\"old\"}\n";
/// Shows these named network namespaces and no others, and cleans.
const CLEAN: &str = r#"set -e; at=$1; tracer=$2; shift 2; mount -t tmpfs none "$at"
for name; do : >"$at/$name"; mount --bind "/run/netns/$name" "$at/$name"; done
mount --move "$at" /run/netns; exec "$tracer" clean"#;

#[derive(Debug)]
pub(super) struct Stage {
    pub(super) net: Net,
    /// Where an interface can be moved.
    pub(super) elsewhere: Netns,
    /// What the mounts live as long as.
    keeper: Keeper,
    folder: PathBuf,
}

impl Stage {
    /// For this round. The folder is for nothing else.
    pub(super) fn set(plan: &RoundPlan, scratch: &ScratchDir) -> Result<Self> {
        let net = Net::pair("torture", "ens160")?;
        let elsewhere = Netns::new("torture", "elsewhere")?;
        let folder = scratch.path().join("stage");
        std::fs::create_dir_all(&folder)?;
        let keeper = Keeper::start(&script(plan, &folder))?;
        Ok(Self {
            net,
            elsewhere,
            keeper,
            folder,
        })
    }

    pub(super) fn host(&self) -> Result<&Host> {
        self.net.host("primary")
    }

    /// Namespaces that still have their names.
    pub(super) fn namespaces(&self) -> Vec<&Netns> {
        let hosts = self.net.hosts().iter().map(|host| &host.netns);
        let others = [self.net.switch(), &self.elsewhere];
        let all = hosts.chain(others);
        all.filter(|netns| netns.path().exists()).collect()
    }

    /// A path as the tool sees it.
    pub(super) fn path(&self, output: Output) -> PathBuf {
        self.folder.join(output.folder()).join(output.name())
    }

    pub(super) fn second(&self) -> PathBuf {
        self.folder.join("second/second.json")
    }

    /// A path of the tool's, as it is seen from outside.
    pub(super) fn outside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The folder with all the outputs', from outside.
    pub(super) fn folder(&self) -> PathBuf {
        self.outside(&self.folder)
    }

    /// A command that will run what its next arguments say where it sees what the tool sees,
    /// in that network namespace or outside.
    pub(super) fn command(&self, netns: Option<&Netns>) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter.arg(format!("--mount=/proc/{}/ns/mnt", self.keeper.id()));
        if let Some(netns) = netns {
            nsenter.arg(format!("--net={}", netns.path().display()));
        }
        nsenter.arg("--");
        nsenter
    }

    /// `tracer clean`, for what is here and nothing else: it sees the processes and the
    /// named network namespaces of the stage only. What others on this machine break on
    /// purpose, whose records are elsewhere, it must not take for something left behind.
    pub(super) fn clean(&self, tracer: &Path) -> Command {
        // It searches its own namespace as well.
        let mut clean = self.command(Some(&self.elsewhere));
        clean
            .args(["unshare", "--mount", "--propagation", "private"])
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--"])
            .args(["sh", "-c", CLEAN, "sh"])
            .arg(self.folder.join("names"))
            .arg(tracer)
            .args(self.namespaces().iter().map(|netns| netns.name()))
            .stdin(Stdio::null());
        clean
    }
}

fn script(plan: &RoundPlan, folder: &Path) -> String {
    let quoted = String::from_utf8_lossy(&command::quote(folder.as_os_str())).into_owned();
    let mut lines = vec![
        "set -e".to_owned(),
        format!("mkdir -p {RECORDS}"),
        format!("mount -t tmpfs -o mode=700 none {RECORDS}"),
        format!("cd {quoted}"),
        "mount -t tmpfs -o size=64m,mode=755 none .".to_owned(),
        format!("cd {quoted}"),
        "mkdir json events ready second names".to_owned(),
    ];
    for blow in &plan.blows {
        let (output, size) = match blow.what {
            What::Full { output, kib } => (output, format!("size={kib}k,")),
            What::ReadOnly(output) => (output, String::new()),
            _ => continue,
        };
        let folder = output.folder();
        lines.push(format!("mount -t tmpfs -o {size}mode=755 none {folder}"));
    }
    if plan.old {
        let path = format!("{}/{}", Output::Json.folder(), Output::Json.name());
        lines.push(format!("printf '%s\\n' '{}' >{path}", OLD.trim()));
    }
    for blow in &plan.blows {
        if let What::ReadOnly(output) = blow.what {
            lines.push(format!("mount -o remount,ro {}", output.folder()));
        }
    }
    lines.push("echo; exec cat".to_owned());
    lines.join("\n")
}

/// A process with mounts of its own, which go with it. Those of others come and go there,
/// too: a network namespace that is deleted is to be gone here as well.
#[derive(Debug)]
struct Keeper {
    child: Child,
    /// Closing it is the end.
    stdin: Option<ChildStdin>,
}

impl Keeper {
    fn start(script: &str) -> Result<Self> {
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "slave", "--", "sh", "-c"])
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for us.
            .process_group(0)
            .spawn()
            .context("cannot run unshare")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("no output")?;
        let keeper = Self { child, stdin };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line == "\n", "what the tool is to see was not mounted");
        Ok(keeper)
    }

    fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
