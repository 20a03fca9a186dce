//! The whole answer: what `--json` prints.

use serde::Serialize;
use tracer_core::report::Tool;

use crate::command::check::row::Row;

/// The version of the contract.
const SCHEMA: &str = "tracer.check/1";

/// What was found out.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    schema: &'static str,
    tool: Tool,
    host: Host,
    /// Whether `tracer run` can work; `None` if nothing speaks against it and yet
    /// something that it needs could not be tried.
    pub(super) can_run: Option<bool>,
    /// One thing each.
    pub(super) checks: Vec<Row>,
}

/// Where it was found out.
#[derive(Debug, Serialize)]
struct Host {
    /// Host name.
    name: String,
    /// Kernel release; empty if the kernel did not say.
    kernel: String,
}

impl Report {
    pub(super) fn new(release: String, checks: Vec<Row>) -> Self {
        let name = nix::unistd::gethostname().unwrap_or_default();
        Self {
            schema: SCHEMA,
            tool: Tool::this(),
            host: Host {
                name: name.to_string_lossy().into_owned(),
                kernel: release,
            },
            can_run: can_run(&checks),
            checks,
        }
    }
}

/// No, if anything is missing that is needed; yes, if nothing is.
fn can_run(rows: &[Row]) -> Option<bool> {
    let needed = || rows.iter().filter(|row| row.required);
    if needed().any(|row| row.ok == Some(false)) {
        return Some(false);
    }
    needed().all(|row| row.ok == Some(true)).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::row::Group::{Fault, Kernel};
    use crate::command::check::shortfall;

    #[test]
    fn only_what_is_needed_decides_and_what_is_unknown_is_no_yes() {
        let yes = || Row::yes(Kernel, "BTF", "there").required();
        let no = || {
            Row::no(
                Kernel,
                "fields",
                "one is not there",
                shortfall::REQUIRED_FIELD,
            )
        };
        let unknown = || Row::unknown(Kernel, "program", "not tried");
        assert_eq!(can_run(&[yes(), no(), unknown()]), Some(true));
        assert_eq!(can_run(&[yes(), unknown().required()]), None);
        assert_eq!(
            can_run(&[yes(), unknown().required(), no().required()]),
            Some(false)
        );
    }

    #[test]
    fn the_json_says_null_where_nothing_was_found_out() {
        let rows = vec![
            Row::yes(Kernel, "BTF", "there").required(),
            Row::no(Fault, "qdisc prio", "none", shortfall::PRIO),
            Row::unknown(Fault, "TCX link", "not tried"),
        ];
        let json = serde_json::to_value(Report::new("6.1".to_owned(), rows)).unwrap();
        assert_eq!(json["schema"], "tracer.check/1");
        assert_eq!(json["tool"]["name"], "tracer");
        assert_eq!(json["host"]["kernel"], "6.1");
        assert_eq!(json["can_run"], true);
        let [yes, no, unknown] = [0, 1, 2].map(|index| &json["checks"][index]);
        assert_eq!(yes["ok"], true);
        assert_eq!(yes["group"], "kernel");
        assert_eq!(yes["required"], true);
        assert!(yes["consequence"].is_null() && yes["remedy"].is_null());
        assert_eq!(no["ok"], false);
        assert!(no["consequence"].is_string() && no["remedy"].is_string());
        assert!(unknown["ok"].is_null());
        assert_eq!(unknown["found"], "not tried");
    }
}
