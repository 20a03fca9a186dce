//! What can happen to its hosts and programs.

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Cluster, STEP};
use crate::testbed::wait;

impl Cluster {
    /// From now on, this process is no part of the host that it is on: it watches what
    /// becomes of it, also without power.
    pub(crate) fn spare(&mut self, watcher: Pid) {
        self.watchers.push(watcher);
    }

    /// Shuts down what runs on a database's host in good order. The host itself still
    /// answers that nobody listens, as one does that has not got further yet.
    pub(crate) fn shut_down(&mut self, name: &'static str) -> Result<()> {
        let daemon = self.daemons.get(name);
        let daemon = daemon.with_context(|| format!("{name} does not run"))?;
        kill(daemon.pid(), Signal::SIGTERM).with_context(|| format!("cannot end {name}"))?;
        let host = self.host(name)?;
        wait::until(STEP, "the database to be shut down", || {
            let inside = host.netns.processes()?;
            let ended = inside.iter().all(|pid| self.watchers.contains(pid));
            Ok(ended.then_some(()))
        })?;
        self.daemons.remove(name);
        Ok(())
    }

    /// Ends everything on a host as a power cut does: first its cable goes, so that
    /// nobody hears of it.
    pub(crate) fn cut_power(&mut self, host: &'static str) -> Result<()> {
        self.net.plug(host, false)?;
        self.host(host)?.netns.cut_power(&self.watchers)?;
        // They have ended; nothing is left to wait for.
        self.daemons.remove(host);
        Ok(())
    }

    /// Gives a database's host its cable back if it had lost it, and starts what ran
    /// there.
    pub(crate) fn power_on(&mut self, host: &'static str) -> Result<()> {
        self.net.plug(host, true)?;
        self.start_database(host)
    }

    /// Ends one program as the kernel would that runs out of memory.
    pub(crate) fn kill(&mut self, name: &'static str) -> Result<()> {
        let daemon = self.daemons.remove(name);
        let mut daemon = daemon.with_context(|| format!("{name} does not run"))?;
        kill(daemon.pid(), Signal::SIGKILL).with_context(|| format!("cannot kill {name}"))?;
        daemon.end();
        Ok(())
    }
}
