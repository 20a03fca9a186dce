//! `how.md`: how a result came about, written by the run itself.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Arguments;
use crate::figure::UNKNOWN;
use crate::provenance;

/// Writes it beside the result.
pub(super) fn write(
    folder: &Path,
    arguments: &Arguments,
    report: &Value,
    commit: &str,
) -> Result<()> {
    let path = folder.join("how.md");
    let text = render(arguments, report, commit, &provenance::postgres());
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn render(arguments: &Arguments, report: &Value, commit: &str, postgres: &str) -> String {
    let field = |pointer: &str| {
        let text = report.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or(UNKNOWN).to_owned()
    };
    let Arguments {
        percent,
        before,
        fault,
        recovery,
        ..
    } = arguments;
    format!(
        "# How this result was made

Written by the run itself.

```sh
cargo xtask demo --percent {percent} --before {before} --fault {fault} --recovery {recovery}
```

| | |
|---|---|
| when | {start} to {end} |
| commit | {commit} |
| tracer | {version} |
| kernel | {kernel} |
| PostgreSQL | {postgres} |

`run.json` is tracer's report, `load.json` every request of the clients. Three
network namespaces on one machine: a primary (10.0.10.2), its synchronous
standby (10.0.10.3), and the clients (10.0.10.10) with 10 writes and 5 reads a
second over 4 connections each. tracer ran on the standby's side, where the
fault was.
",
        start = field("/window/start"),
        end = field("/window/end"),
        version = field("/tool/version"),
        kernel = field("/host/kernel"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_says_what_is_known_and_nothing_else() {
        let arguments = Arguments {
            output: None,
            percent: 50,
            before: 10,
            fault: 30,
            recovery: 5,
        };
        let text = render(
            &arguments,
            &json!({"host": {"kernel": "6.18.1"}}),
            "abc",
            "15.1",
        );
        assert!(text.contains("--percent 50 --before 10 --fault 30 --recovery 5\n"));
        assert!(text.contains("| kernel | 6.18.1 |"));
        assert!(text.contains("| tracer | – |"));
    }
}
