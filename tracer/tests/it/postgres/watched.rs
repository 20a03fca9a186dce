//! The tool, watching a database.

use std::{
    fs::{self, File},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tracer_core::report::commits::CommitsReport;
use tracer_core::report::latency_probe::ProbeReport;
use tracer_core::report::postgres::{GapReport, PostgresReport};
use tracer_core::report::sample::Sample;
use xtask::testbed::{
    command::{Running, only_child},
    netns::{Host, HostSpec, Net},
    postgres::{Pair, Programs, Server},
    wait,
    wire::Wire,
};

use crate::support::folder::Folder;
use crate::support::program::PROGRAM;
use crate::support::report::Report;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The name of one more standby, and of its host.
pub(crate) const OTHER: &str = "other";

/// Two hosts and their servers.
pub(crate) struct Lab {
    // Dropped in this order.
    other: Option<Server>,
    pub(crate) pair: Pair,
    net: Net,
    /// The servers' major version, as they tell it.
    pub(crate) major: u32,
}

impl Lab {
    pub(crate) fn start(tag: &str) -> Self {
        Self::of(tag, &Programs::own().unwrap())
    }

    /// The same with these programs.
    pub(crate) fn of(tag: &str, programs: &Programs) -> Self {
        Self::in_net(Net::pair(tag, "ens160").unwrap(), programs)
    }

    /// The same with one more standby, [`OTHER`] at 10.0.10.4.
    pub(crate) fn of_three(tag: &str) -> Self {
        Self::of_three_with(tag, &Programs::own().unwrap())
    }

    /// The same with these programs.
    pub(crate) fn of_three_with(tag: &str, programs: &Programs) -> Self {
        let host = |role, number| HostSpec {
            role,
            number,
            interface: "ens160",
        };
        let hosts = [host("primary", 2), host("standby", 3), host(OTHER, 4)];
        let mut lab = Self::in_net(Net::star(tag, &hosts).unwrap(), programs);
        let (primary, other) = (lab.primary(), lab.net.host(OTHER).unwrap());
        lab.other = Some(lab.pair.join(primary, other, OTHER).unwrap());
        lab
    }

    /// The same, the standby behind a wire of its own.
    pub(crate) fn on_wire(tag: &str) -> (Self, Wire) {
        let net = Net::pair(tag, "ens160").unwrap();
        let wire = Wire::insert(&net, "standby", 1).unwrap();
        (Self::in_net(net, &Programs::own().unwrap()), wire)
    }

    fn in_net(net: Net, programs: &Programs) -> Self {
        let (primary, standby) = (net.host("primary").unwrap(), net.host("standby").unwrap());
        let pair = Pair::start_with(programs, primary, standby).unwrap();
        let version = pair.primary().value("show server_version_num");
        let version: u32 = version.unwrap().unwrap().parse().unwrap();
        Self {
            other: None,
            pair,
            net,
            major: version / 10_000,
        }
    }

    pub(crate) fn primary(&self) -> &Host {
        self.net.host("primary").unwrap()
    }

    pub(crate) fn standby(&self) -> &Host {
        self.net.host("standby").unwrap()
    }

    /// The host of the other standby, and its server.
    pub(crate) fn other(&self) -> (&Host, &Server) {
        (self.net.host(OTHER).unwrap(), self.other.as_ref().unwrap())
    }

    pub(crate) fn restart_primary(&mut self) {
        let host = self.net.host("primary").unwrap();
        self.pair.primary_mut().restart(host).unwrap();
    }

    pub(crate) fn restart_standby(&mut self) {
        let host = self.net.host("standby").unwrap();
        self.pair.standby_mut().restart(host).unwrap();
    }

    /// Pulls the standby's cable, or plugs it in again.
    pub(crate) fn plug_standby(&self, plugged: bool) {
        self.net.plug("standby", plugged).unwrap();
    }

    /// One value, by `psql`: the server's own client.
    pub(crate) fn psql(&self, sql: &str) -> String {
        let folder = self.pair.primary().socket_dir().display().to_string();
        let arguments = ["-U", "postgres", "-h", &folder, "-XAtc", sql, "postgres"];
        let said = self.primary().netns.run("psql", &arguments).unwrap();
        said.trim_end().to_owned()
    }

    /// The process with which the standby receives.
    pub(crate) fn receiver(&self) -> Pid {
        let standby = self.pair.standby();
        let id = standby.value("select pid from pg_stat_wal_receiver");
        standby.process(&id.unwrap().unwrap()).unwrap()
    }

    /// Rules that come before all others.
    pub(crate) fn allow(&self, rules: &str) {
        let path = self.pair.primary().data().join("pg_hba.conf");
        let others = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{rules}\n{others}")).unwrap();
        self.psql("select pg_reload_conf()");
    }
}

/// A running `tracer run --pg`; ended when dropped.
pub(crate) struct Watched {
    running: Running,
    /// The tool itself, where that is a child of what runs.
    inner: Option<Pid>,
    folder: Folder,
}

/// What it left.
pub(crate) struct Seen {
    pub(crate) report: Report,
    pub(crate) json: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Where that stands.
    _folder: Folder,
}

impl Watched {
    /// Starts it on the host, and waits until everything is counted.
    pub(crate) fn start(host: &Host, dsn: &str, arguments: &[&str]) -> Self {
        Self::with(host, dsn, arguments, &[])
    }

    /// The same in an environment that has nothing but these variables.
    pub(crate) fn with(
        host: &Host,
        dsn: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let database = format!("--pg={dsn}");
        let arguments: Vec<&str> = [&[database.as_str()], arguments].concat();
        Self::without_database(host, &arguments, variables)
    }

    /// The same with nothing but these arguments.
    pub(crate) fn without_database(
        host: &Host,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        Self::by(host, &[""; 0], arguments, variables)
    }

    /// The same by way of another program and its arguments, such as `setpriv`; where
    /// that stays, the tool is its only child.
    pub(crate) fn by(
        host: &Host,
        way: &[impl AsRef<str>],
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let way: Vec<&str> = way.iter().map(AsRef::as_ref).collect();
        let folder = Folder::new().unwrap();
        let file = |name: &str| folder.path().join(name);
        let words = [&way[..], &[PROGRAM]].concat();
        let mut command = host.netns.command(words[0]);
        command.args(&words[1..]);
        let unless =
            |given: &str, otherwise: &'static [&'static str]| match arguments.contains(&given) {
                true => &[],
                false => otherwise,
            };
        command
            .args(["run", "--duration", "120s"])
            .args(unless("--peer", &["--all"]))
            .args(unless("--interval", &["--interval", "100ms"]))
            .args(arguments)
            .arg("--json")
            .arg(file("report.json"))
            .arg("--ready-file")
            .arg(file("ready"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(File::create(file("stdout")).unwrap())
            .stderr(File::create(file("stderr")).unwrap());
        let child = command.spawn().unwrap();
        let mut watched = Self {
            running: Running::new(child, "tracer"),
            inner: None,
            folder,
        };
        watched.wait("it to count", |one| one.exists("ready"));
        if way.iter().any(|word| word.starts_with("--pid")) {
            watched.inner = Some(only_child(watched.running.pid()).unwrap());
        }
        watched
    }

    /// The most memory that it has had, kB.
    pub(crate) fn most_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.running.pid())).unwrap();
        let mut words = status
            .lines()
            .filter_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = words.next().unwrap().trim().trim_end_matches(" kB");
        kilobytes.parse().unwrap()
    }

    fn exists(&self, name: &str) -> bool {
        self.folder.path().join(name).exists()
    }

    fn text(&self, name: &str) -> String {
        let bytes = fs::read(self.folder.path().join(name)).unwrap_or_default();
        String::from_utf8(bytes).unwrap()
    }

    fn wait(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let done = wait::until(LIMIT, what, || {
            if let Some(status) = self.running.ended()? {
                bail!("tracer ended ({status}): {}", self.text("stderr"));
            }
            Ok(condition(self).then_some(()))
        });
        done.with_context(|| self.text("stdout")).unwrap();
    }

    /// Waits until a line that is shown from now on has all of these words.
    pub(crate) fn await_line(&mut self, words: &[&str]) {
        let before = self.text("stdout").len();
        self.wait(&words.join(" "), |one| {
            let text = one.text("stdout");
            let mut lines = text.get(before..).unwrap_or_default().lines();
            lines.any(|line| words.iter().all(|word| line.contains(word)))
        });
    }

    /// Waits until so many segments were sent again in all.
    pub(crate) fn await_resent(&mut self, least: u64) {
        self.wait("enough to be sent again", |one| {
            let text = one.text("stdout");
            let counts = text.lines().filter_map(|line| {
                let before = line.split_once(" in all")?.0;
                before.rsplit_once(' ')?.1.parse::<u64>().ok()
            });
            counts.max().is_some_and(|count| count >= least)
        });
    }

    /// Ctrl-C, and all that it has said.
    pub(crate) fn finish(self) -> Seen {
        match self.inner {
            Some(tool) => kill(tool, Signal::SIGINT).unwrap(),
            None => self.running.interrupt().unwrap(),
        }
        let Self {
            running, folder, ..
        } = self;
        let status = running.wait(Some(LIMIT)).unwrap();
        let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let (stdout, stderr) = (text("stdout"), text("stderr"));
        assert!(status.success(), "{status}: {stderr}");
        let json = text("report.json");
        let seen = Seen {
            report: Report::read(json.as_bytes()).unwrap(),
            json,
            stdout,
            stderr,
            _folder: folder,
        };
        // Whatever becomes of the database, the count goes on.
        assert_eq!(seen.report.difference(), 0, "{:?}", seen.report);
        seen
    }
}

impl Seen {
    pub(crate) fn postgres(&self) -> &PostgresReport {
        self.report.postgres.as_ref().unwrap()
    }

    pub(crate) fn probe(&self) -> &ProbeReport {
        self.postgres().probe.as_ref().unwrap()
    }

    pub(crate) fn commits(&self) -> &CommitsReport {
        self.report.commits.as_ref().unwrap()
    }

    /// The last sample.
    pub(crate) fn last(&self) -> &Sample {
        &self.postgres().series.last().unwrap().sample
    }

    /// Times in which the server did not answer; that a busy machine takes long for
    /// one answer is none.
    pub(crate) fn outages(&self) -> Vec<&GapReport> {
        let all = self.postgres().gaps.iter();
        all.filter(|gap| gap.failures != 0).collect()
    }

    pub(crate) fn warnings(&self) -> Vec<&str> {
        self.report.warnings.iter().map(String::as_str).collect()
    }

    /// Everything that it has let out.
    pub(crate) fn everything(&self) -> String {
        format!("{}\n{}\n{}", self.json, self.stdout, self.stderr)
    }
}
