//! Whether the kernel takes the programs that count, and lets them be attached.

use crate::cli::MAX_FLOWS;
use crate::command::check::capabilities::HeldCapabilities;
use crate::command::check::row::{Group, Row};
use crate::command::check::shortfall::{self, Shortfall};
use crate::kernel::bpf::with_causes;
use crate::kernel::offsets::Resolved;
use crate::kernel::sockstat;
use crate::programs::{HOOKS, Options, ProgramHook, Programs};

/// The row that says where sockets are remembered.
const MEMORY: &str = "memory of a socket";

/// Loads and attaches every program as a run does it. They count nothing, and are
/// detached on return.
pub(super) fn rows(held: &HeldCapabilities, resolved: Option<&Resolved>) -> Vec<Row> {
    let Some(resolved) = resolved else {
        return all_unknown(None, "not tried: BTF does not say where fields are");
    };
    if let Some(why) = held.why_not_load() {
        return all_unknown(Some(resolved), &why);
    }
    let options = Options::plain(resolved, sockstat::tcp_in_use(), MAX_FLOWS);
    let tried = Programs::load(&options).and_then(|mut programs| {
        let outcomes = programs.try_each()?;
        Ok((outcomes, programs.why_in_table()))
    });
    match tried {
        Ok((outcomes, why_in_table)) => HOOKS
            .iter()
            .zip(outcomes)
            .map(|(hook, outcome)| tried_row(hook, outcome, exists(hook, resolved)))
            .chain([memory(why_in_table)])
            .collect(),
        Err(error) => {
            let found = with_causes(&error);
            let mut rows =
                vec![Row::no(Group::Programs, "maps", found, shortfall::PROGRAMS).required()];
            rows.extend(all_unknown(
                Some(resolved),
                "not tried, without the maps that they share",
            ));
            rows
        }
    }
}

/// Where a run would remember sockets.
fn memory(why_in_table: Option<String>) -> Row {
    match why_in_table {
        None => Row::yes(Group::Programs, MEMORY, "in the socket, for any number"),
        Some(why) => Row::no(
            Group::Programs,
            MEMORY,
            format!("in a table: {why}"),
            shortfall::SOCKET_TABLE,
        ),
    }
}

fn exists(hook: &ProgramHook, resolved: &Resolved) -> bool {
    resolved.tracepoints.named(hook.name).is_some()
}

fn tried_row(hook: &ProgramHook, outcome: Result<(), String>, exists: bool) -> Row {
    let row = match outcome {
        Ok(()) => Row::yes(Group::Programs, hook.name, "works"),
        Err(reason) => {
            let remedy = match exists {
                true => shortfall::REFUSED_PROGRAM_REMEDY,
                false => shortfall::NO_TRACEPOINT_REMEDY,
            };
            Row::no(Group::Programs, hook.name, reason, cost(hook, remedy))
        }
    };
    needed(hook, row)
}

/// What BTF says is known all the same: that a tracepoint does not exist.
fn all_unknown(resolved: Option<&Resolved>, why: &str) -> Vec<Row> {
    let row = |hook: &ProgramHook| match resolved.map(|resolved| exists(hook, resolved)) {
        Some(false) => {
            let found = "this kernel has no such tracepoint".to_owned();
            tried_row(hook, Err(found), false)
        }
        Some(true) => {
            let found = format!("the kernel has the tracepoint; its program was {why}");
            needed(hook, Row::unknown(Group::Programs, hook.name, found))
        }
        None => needed(hook, Row::unknown(Group::Programs, hook.name, why)),
    };
    let memory = Row::unknown(Group::Programs, MEMORY, why);
    HOOKS.iter().map(row).chain([memory]).collect()
}

fn needed(hook: &ProgramHook, row: Row) -> Row {
    Row {
        required: hook.consequence.is_none(),
        ..row
    }
}

fn cost(hook: &ProgramHook, remedy: &'static str) -> Shortfall {
    Shortfall {
        consequence: hook.consequence.unwrap_or(shortfall::REQUIRED_PROGRAM),
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::Offsets;

    use super::*;
    use crate::kernel::tracepoints::{Tracepoint, Tracepoints};

    #[test]
    fn without_privileges_only_what_does_not_exist_is_certain() {
        let some = Some(Tracepoint {
            arguments: 2,
            btf_id: 1,
        });
        let resolved = Resolved {
            offsets: Offsets::UNRESOLVED,
            missing: Vec::new(),
            tracepoints: Tracepoints {
                retransmit_skb: some,
                retransmit_synack: some,
                set_state: some,
                bad_csum: None,
                send_reset: some,
                receive_reset: some,
            },
        };
        let rows = rows(&HeldCapabilities::default(), Some(&resolved));
        assert_eq!(rows.len(), HOOKS.len() + 1);
        for row in &rows {
            let expected = (row.name == "tcp_bad_csum").then_some(false);
            assert_eq!(row.ok, expected, "{row:?}");
        }
        assert!(all_unknown(None, "x").iter().all(|row| row.ok.is_none()));
    }

    #[test]
    fn a_refusal_keeps_its_reason_and_says_what_it_costs() {
        for hook in &HOOKS {
            let row = tried_row(hook, Err("refused".to_owned()), true);
            assert_eq!(row.ok, Some(false));
            assert_eq!(row.found, "refused");
            assert_eq!(row.required, hook.consequence.is_none());
            assert!(row.consequence.is_some() && row.remedy.is_some());
        }
    }
}
