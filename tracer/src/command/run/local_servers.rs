//! The PostgreSQL servers on this host, watched from outside of them: what their commits
//! wait for, and how long they wait for a CPU.

use tracer_core::recording::{commits, processors};

use crate::commit_trace::{CommitTrace, EarlierServers};
use crate::config::{Config, Namespaces};
use crate::kernel::clock::now_ns;
use crate::kernel::netns;
use crate::kernel::server_cpu::Processors;

/// The watched servers; nothing of what nobody asked for.
pub(crate) struct LocalServers {
    /// Their commits.
    pub(crate) commits: Option<CommitTrace>,
    processors: Option<Result<Processors, String>>,
}

/// What was learnt of them by the end.
#[derive(Debug)]
pub(crate) struct LearntOfServers {
    pub(crate) commits: Option<commits::CommitsRecord>,
    /// Or why it is not known.
    pub(crate) processors: Option<Result<Vec<processors::CpuHistory>, String>>,
}

impl LocalServers {
    /// Begins to watch them.
    pub(crate) fn start(config: &Config, earlier: EarlierServers) -> anyhow::Result<Self> {
        let netns = servers_netns(config)?;
        let commits = config
            .commits
            .then(|| CommitTrace::start(config.slow_commit, netns, earlier));
        let watches_database = config.commits || config.postgres.is_some();
        let processors = watches_database.then(|| Processors::start(netns, now_ns()));
        Ok(Self {
            commits,
            processors,
        })
    }

    /// Makes room for servers that are started. To be done often.
    pub(crate) fn tend(&mut self) {
        if let Some(commits) = &mut self.commits {
            commits.tend();
        }
    }

    /// Takes a sample of each; of commits, a line for the live view.
    pub(crate) fn poll(&mut self) -> Option<String> {
        if let Some(Ok(processors)) = &mut self.processors {
            processors.poll(now_ns());
        }
        self.commits.as_mut().map(CommitTrace::poll)
    }

    /// Ends it.
    pub(crate) fn finish(self) -> LearntOfServers {
        let processors = self.processors;
        LearntOfServers {
            commits: self.commits.map(CommitTrace::finish),
            processors: processors.map(|one| one.map(|one| one.finish(now_ns()))),
        }
    }
}

/// The only network namespace whose servers are meant: the one that was named, and
/// entered.
fn servers_netns(config: &Config) -> anyhow::Result<Option<u32>> {
    Ok(match config.netns {
        Namespaces::Named(_) => Some(netns::current_inode()?),
        Namespaces::Current | Namespaces::All => None,
    })
}
