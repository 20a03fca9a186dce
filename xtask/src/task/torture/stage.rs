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

/// The whole of it, gone when dropped.
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

    /// Where the tool runs.
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

    /// The folder of a second tool's report.
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

    /// What a command begins with that sees what the tool sees; in the host, or outside.
    pub(super) fn way(&self, inside: bool) -> Result<Vec<String>> {
        let mut words = vec![
            "nsenter".to_owned(),
            format!("--mount=/proc/{}/ns/mnt", self.keeper.id()),
        ];
        if inside {
            let host = self.host()?;
            words.push(format!("--net={}", host.netns.path().display()));
        }
        words.push("--".to_owned());
        Ok(words)
    }

    /// `tracer clean`, for what is here and nothing else: it sees the processes and the
    /// named network namespaces of the stage only. What others on this machine break on
    /// purpose, whose records are elsewhere, it must not take for something left behind.
    pub(super) fn clean(&self, tracer: &Path) -> Result<Command> {
        let folder = self.folder.join("names");
        let mut words = self.way(false)?;
        words.pop();
        // Its own namespace is looked at as well.
        words.push(format!("--net={}", self.elsewhere.path().display()));
        words.extend(
            "-- unshare --mount --propagation private --pid --fork --kill-child --mount-proc -- sh -c"
                .split(' ')
                .map(str::to_owned),
        );
        words.push(
            "set -e; at=$1; tracer=$2; shift 2; mount -t tmpfs none \"$at\"\n\
             for name; do : >\"$at/$name\"; mount --bind \"/run/netns/$name\" \"$at/$name\"; done\n\
             mount --move \"$at\" /run/netns; exec \"$tracer\" clean"
                .to_owned(),
        );
        words.extend([
            "sh".to_owned(),
            folder.display().to_string(),
            tracer.display().to_string(),
        ]);
        let namespaces = self.namespaces();
        words.extend(namespaces.iter().map(|netns| netns.name().to_owned()));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        Ok(command)
    }
}

/// What the keeper mounts.
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
        match blow.what {
            What::Full { output, kib } => lines.push(format!(
                "mount -t tmpfs -o size={kib}k,mode=755 none {}",
                output.folder()
            )),
            What::ReadOnly(output) => {
                lines.push(format!(
                    "mount -t tmpfs -o mode=755 none {}",
                    output.folder()
                ));
            }
            _ => {}
        }
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
