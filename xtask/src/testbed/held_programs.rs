//! The kernel programs that a process holds, as `/proc/PID/fdinfo` shows them.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use nix::unistd::Pid;

/// `BPF_PROG_TYPE_TRACEPOINT`.
const TRACEPOINT: &str = "5";

/// What the kernel has measured of one program; it does so only while somebody asks for
/// it (`kernel.bpf_stats_enabled`, `BPF_ENABLE_STATS`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RunTime {
    pub(crate) runs: u64,
    pub(crate) ns: u64,
}

impl RunTime {
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            runs: self.runs.saturating_sub(before.runs),
            ns: self.ns.saturating_sub(before.ns),
        }
    }

    /// Mean length of a run, ns; `None` if there was none.
    pub(crate) fn ns_a_run(self) -> Option<f64> {
        (self.runs > 0).then(|| self.ns as f64 / self.runs as f64)
    }
}

/// The fields of each descriptor of a program, a map or a link.
pub(crate) fn descriptors(pid: Pid) -> Vec<BTreeMap<String, String>> {
    // What goes meanwhile is gone.
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    let ours = entries.filter_map(Result::ok).filter(|entry| {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        target.to_string_lossy().starts_with("anon_inode:bpf")
    });
    ours.map(|entry| {
        let number = entry.file_name();
        let path = format!("/proc/{pid}/fdinfo/{}", number.to_string_lossy());
        fields(&fs::read_to_string(path).unwrap_or_default())
    })
    .collect()
}

fn fields(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// The program that the process has on a tracepoint, by its id.
///
/// # Errors
/// When it has none.
pub(crate) fn on(pid: Pid, tracepoint: &str) -> Result<u32> {
    let held = descriptors(pid);
    let linked = held
        .iter()
        .find(|one| one.get("tp_name").is_some_and(|name| name == tracepoint));
    // What hangs on it by way of `perf` has no link. Its name would be cut off.
    let by_perf = || {
        held.iter()
            .find(|one| one.get("prog_type").is_some_and(|kind| kind == TRACEPOINT))
    };
    let found = linked
        .or_else(by_perf)
        .and_then(|one| number(one, "prog_id"));
    found.with_context(|| format!("process {pid} has no program on the tracepoint {tracepoint}"))
}

/// What the kernel has measured of a program that the process holds.
///
/// # Errors
/// When it holds no such program, or the kernel shows nothing of it.
pub(crate) fn run_time(pid: Pid, program: u32) -> Result<RunTime> {
    let held = descriptors(pid);
    let measured = held.iter().find_map(|one| {
        Some(RunTime {
            runs: number(one, "run_cnt").filter(|_| number(one, "prog_id") == Some(program))?,
            ns: number(one, "run_time_ns")?,
        })
    });
    measured.with_context(|| format!("the kernel does not measure program {program}"))
}

fn number<N: std::str::FromStr>(fields: &BTreeMap<String, String>, name: &str) -> Option<N> {
    fields.get(name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_what_the_kernel_shows() {
        let text = "pos:\t0\nprog_id:\t7\nrun_time_ns:\t1500\nrun_cnt:\t3\n";
        let fields = fields(text);
        assert_eq!(number(&fields, "prog_id"), Some(7));
        assert_eq!(number::<u64>(&fields, "tp_name"), None);
        let time = RunTime { runs: 3, ns: 1500 };
        assert_eq!(time.ns_a_run(), Some(500.0));
        assert_eq!(
            time.since(RunTime { runs: 1, ns: 500 }).ns_a_run(),
            Some(500.0)
        );
        assert_eq!(RunTime::default().ns_a_run(), None);
    }

    #[test]
    fn who_holds_nothing_has_no_program() {
        assert!(on(Pid::this(), "tcp_retransmit_skb").is_err());
        assert!(run_time(Pid::this(), 1).is_err());
    }
}
