//! `how.md`: how a result came about, written by the run itself.

use super::Script;
use crate::lab::cluster::DATABASES;
use crate::lab::context::Lengths;
use crate::lab::outcome::Outcome;
use crate::lab::provenance;

/// Packages whose versions decide what the cluster does.
const PACKAGES: [&str; 3] = ["patroni", "etcd-server", "haproxy"];

/// How to do it again, and on what it was done.
pub(super) fn render(script: &Script, outcome: &Outcome) -> String {
    let Lengths {
        baseline,
        fault,
        recovery,
    } = script.lengths;
    let report = outcome.report(DATABASES[0]);
    let versions = PACKAGES.map(|name| format!("| {name} | {} |\n", provenance::package(name)));
    let command = format!(
        "cargo xtask lab {} {} --baseline {} --fault {} --recovery {}{}",
        script.variant.experiment,
        script.variant.name,
        baseline.as_secs(),
        fault.as_secs(),
        recovery.as_secs(),
        script.timing.options(),
    );
    format!(
        "{head}
Six hosts in network namespaces of one machine: db1 (10.0.10.2) and db2 (10.0.10.3)
with PostgreSQL under Patroni, etcd on 10.0.10.4, .5 and .6, HAProxy on 10.0.10.6, the
clients on 10.0.10.10. tracer ran on the hosts of both databases:

```sh
{commands}
```

| file | holds |
|---|---|
| `result.md` | what was seen, and what had to be so |
| `db1.json`, `db2.json` | tracer's reports of both hosts, without the flows of Patroni and etcd in which nothing was retransmitted |
| `run.json` | both, as one run: by `tracer merge` |
| `report.html`, `report.md` | that for people, by `tracer report` |
| `explain.md` | the slowest commit, part by part, if any was slow: by `tracer explain` |
| `load.json` | figures of the clients by phase, and each request that failed or took 100 ms |
| `roles.json` | what each node said of itself, asked every 100 ms, and what was done |
| `measured.json` | the cluster's clocks, the kernels' counts of wrong checksums, and what this experiment alone measures |
",
        head = provenance::head(&command, &script.commit, report, &versions.concat()),
        commands = outcome.commands.join("\n"),
    )
}
