//! Network namespaces: one machine's stand-in for a network of hosts.
//!
//! A [`Net`] is a switch (a bridge in a namespace of its own) and hosts (a
//! namespace each), joined by veth. Nothing outside of these namespaces is
//! touched, and they vanish with the value. Needs root.

mod counter;
mod link;
mod net;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub use self::link::Queue;
use self::link::shape;
pub use self::net::{Host, HostSpec, Net};
use crate::testbed::{command, resource_name, scratch_dir, wait};

/// Where `ip netns` keeps the names of namespaces.
const NAMES: &str = "/run/netns";

/// How long processes take to be gone after SIGKILL: their memory has to be freed.
const POWER: Duration = Duration::from_secs(10);

/// One named namespace, removed when dropped, with the processes in it.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes `tracer-<tag>-<pid>-<role>`, with its loopback up.
    ///
    /// # Errors
    /// Without root, or when this process already has one of that name.
    pub fn new(tag: &str, role: &str) -> Result<Self> {
        let netns = Self::named(tag, role)?;
        run_ip(&[], &format!("netns add {}\n", netns.name))?;
        netns.ip("link set lo up\n")?;
        Ok(netns)
    }

    /// One that is still to be made.
    fn named(tag: &str, role: &str) -> Result<Self> {
        require_root()?;
        let netns = Self {
            name: resource_name::name(tag, role),
        };
        if netns.path().exists() {
            let name = netns.name.clone();
            // Whoever made it removes it.
            std::mem::forget(netns);
            bail!("there is a namespace {name} already");
        }
        Ok(netns)
    }

    /// The name that `ip netns` knows it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(NAMES).join(&self.name)
    }

    /// A command that will run inside. Its process id is the program's own.
    ///
    /// Unlike `ip netns exec`, this leaves `/sys` and its mounts as they are.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter
            .arg(format!("--net={}", self.path().display()))
            .arg("--")
            .arg(program);
        nsenter
    }

    /// A command that will run inside as another user, and that the kernel
    /// sends `SIGINT` when the *thread* that spawned it ends, however it ends.
    pub fn command_as(&self, user: &str, program: impl AsRef<OsStr>) -> Command {
        self.command_by(&[], user, program)
    }

    /// Like [`Self::command_as`], with System V memory of its own: what a killed
    /// PostgreSQL leaves of that then goes with its last process.
    pub(crate) fn command_apart_as(&self, user: &str, program: impl AsRef<OsStr>) -> Command {
        self.command_by(&["unshare", "--ipc", "--"], user, program)
    }

    /// Like [`Self::command_as`], with process ids of its own: its first and only child
    /// is the program.
    pub(crate) fn command_alone_as(&self, user: &str, program: impl AsRef<OsStr>) -> Command {
        // Whoever waits outside for the program ends when the thread does that spawned it.
        let wait = ["setpriv", "--pdeathsig", "KILL", "--"];
        let unshare = [
            "unshare",
            "--mount-proc",
            "--pid",
            "--fork",
            "--kill-child",
            "--",
        ];
        self.command_by(&[&wait[..], &unshare].concat(), user, program)
    }

    /// By way of other programs, as a user, and to end with the thread that began it.
    fn command_by(&self, way: &[&str], user: &str, program: impl AsRef<OsStr>) -> Command {
        let words = [way, &["setpriv"]].concat();
        let mut command = self.command(words[0]);
        command
            .args(&words[1..])
            .args(["--reuid", user, "--regid", user])
            .args(["--init-groups", "--pdeathsig=INT", "--"])
            .arg(program);
        command
    }

    /// The processes inside, as `ip netns pids` lists them.
    ///
    /// # Errors
    /// When the namespace or the processes cannot be listed.
    pub fn processes(&self) -> Result<Vec<Pid>> {
        processes(&self.path())
    }

    /// Ends the processes inside as a power cut does, and waits until they are gone:
    /// all but those that are spared.
    pub(crate) fn cut_power(&self, spared: &[Pid]) -> Result<()> {
        let off = wait::until_uninterrupted(POWER, "processes to be gone", || {
            let mut inside = self.processes()?;
            inside.retain(|pid| !spared.contains(pid));
            // Each time anew: one may have been on the point of starting another.
            for pid in &inside {
                let _ = kill(*pid, Signal::SIGKILL);
            }
            Ok(inside.is_empty().then_some(()))
        });
        off.with_context(|| format!("in namespace {}", self.name))
    }

    /// Runs a program inside and returns its standard output.
    ///
    /// # Errors
    /// When it cannot be started or fails.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        // What a thread starts begins where the thread is.
        self.enter(|| command::output(command::named(program).args(arguments)))
    }

    /// Calls the closure on a thread inside: sockets that it opens belong to
    /// this namespace for good.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or what the closure returns.
    ///
    /// # Panics
    /// When the closure does.
    pub fn enter<T: Send>(&self, inside: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let entrance = self.entrance()?;
        let enter_and_call = || entrance().and_then(|()| inside());
        thread::scope(|scope| match scope.spawn(enter_and_call).join() {
            Ok(result) => result,
            // A failed assertion inside is the test's failure.
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Starts a thread that lives inside.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        inside: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<Result<T>>> {
        let entrance = self.entrance()?;
        Ok(thread::spawn(move || entrance().map(|()| inside())))
    }

    /// What takes the thread inside that calls it.
    fn entrance(&self) -> Result<impl Fn() -> Result<()> + Send + Sync + use<>> {
        let path = self.path();
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        Ok(move || {
            let entered = setns(&file, CloneFlags::CLONE_NEWNET);
            entered.with_context(|| format!("cannot enter {}", path.display()))
        })
    }

    /// Sets a sysctl of this namespace, such as `net.ipv4.tcp_retries2`.
    ///
    /// # Errors
    /// When this kernel has no such setting or refuses the value.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        ensure!(
            name.starts_with("net."),
            "{name} would be set for the whole machine: only net.* belongs to a namespace"
        );
        let path = PathBuf::from("/proc/sys").join(name.replace('.', "/"));
        self.enter(|| {
            fs::write(&path, value)
                .with_context(|| format!("cannot set {name} to {value} in {}", self.name))
        })
    }

    /// A counter of this namespace, by the names that `/proc/net/snmp` and
    /// `/proc/net/netstat` use: `("Tcp", "RetransSegs")`.
    ///
    /// # Errors
    /// When this kernel has no such counter.
    pub fn counter(&self, group: &str, name: &str) -> Result<u64> {
        self.counters([(group, name)]).map(|[value]| value)
    }

    /// Several counters, of one moment: each reading costs a thread, and is all that
    /// an emulated machine gets done in a millisecond.
    ///
    /// # Errors
    /// As [`Netns::counter`].
    pub fn counters<const N: usize>(&self, wanted: [(&str, &str); N]) -> Result<[u64; N]> {
        // Of this thread: `/proc/net` is that of the process's first one.
        let read = |file| fs::read_to_string(format!("/proc/thread-self/net/{file}"));
        self.enter(|| {
            let mut text = read("snmp").context("cannot read counters")?;
            if wanted.iter().any(|(group, _)| group.ends_with("Ext")) {
                text += &read("netstat").context("cannot read counters")?;
            }
            let mut values = [0; N];
            for (value, (group, name)) in values.iter_mut().zip(wanted) {
                *value = counter::parse(&text, group, name)
                    .with_context(|| format!("this kernel has no counter {group}{name}"))?;
            }
            Ok(values)
        })
    }

    /// Runs lines of `ip` commands inside, in one process.
    ///
    /// # Errors
    /// With the first of them that fails.
    pub fn ip(&self, lines: &str) -> Result<()> {
        run_ip(&["-netns", &self.name], lines)
    }
}

fn run_ip(options: &[&str], lines: &str) -> Result<()> {
    let mut ip = command::named("ip");
    ip.args(options).args(["-batch", "-"]);
    command::output_with_input(&mut ip, lines).map(|_| ())
}

impl Drop for Netns {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.name) {
            eprintln!("warning: namespace {} is left behind: {error:#}", self.name);
        }
    }
}

/// Fails unless this is root: to be asked before anything slow.
pub(crate) fn require_root() -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "network namespaces need root: put `sudo env PATH=\"$PATH\"` in front of the command"
    );
    Ok(())
}

/// Removes the namespaces of earlier runs whose process has died, and the
/// processes that still are in them. Returns the names.
pub(crate) fn remove_orphans() -> Result<Vec<String>> {
    scratch_dir::thaw_orphans();
    let mut removed = Vec::new();
    for name in names()
        .into_iter()
        .filter(|name| resource_name::is_orphan(name))
    {
        match remove(&name) {
            Ok(()) => removed.push(name),
            // Somebody else who starts just now was quicker.
            Err(_) if !PathBuf::from(NAMES).join(&name).exists() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

/// The names of all namespaces here, ours and others'.
pub(crate) fn names() -> Vec<String> {
    // No folder, no namespaces.
    let entries = fs::read_dir(NAMES).into_iter().flatten();
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

/// What `ip netns delete` does.
fn remove(name: &str) -> Result<()> {
    let path = PathBuf::from(NAMES).join(name);
    if !path.exists() {
        return Ok(());
    }
    end_processes(&path)?;
    match umount2(&path, MntFlags::MNT_DETACH) {
        // Nothing is mounted there: whoever made the file came no further.
        Ok(()) | Err(Errno::EINVAL) => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot unmount {}", path.display()));
        }
    }
    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
}

/// Ends what still runs inside: a namespace lives on, nameless and with its
/// processes, as long as one of them does.
fn end_processes(netns: &Path) -> Result<()> {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let inside = processes(netns)?;
        if inside.is_empty() {
            return Ok(());
        }
        for pid in inside {
            let _ = kill(pid, signal);
        }
        let gone = wait::until_uninterrupted(Duration::from_secs(3), "them to end", || {
            Ok(processes(netns)?.is_empty().then_some(()))
        });
        if gone.is_ok() {
            return Ok(());
        }
    }
    bail!("processes in {} survive SIGKILL", netns.display())
}

/// What `ip netns pids` lists.
fn processes(netns: &Path) -> Result<Vec<Pid>> {
    let identity = |file: fs::Metadata| (file.dev(), file.ino());
    let wanted = fs::metadata(netns)
        .map(identity)
        .with_context(|| format!("cannot read {}", netns.display()))?;
    // A process that has gone in the meantime is nowhere.
    let is_inside = |pid: &Pid| {
        let its = fs::metadata(format!("/proc/{pid}/ns/net"));
        its.is_ok_and(|its| identity(its) == wanted)
    };
    Ok(command::processes().filter(is_inside).collect())
}
