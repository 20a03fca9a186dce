//! What faults could be made with.

use std::io::{self, ErrorKind::NotFound};
use std::path::Path;

use crate::command::check::capabilities::HeldCapabilities;
use crate::command::check::row::Group::Fault;
use crate::command::check::row::Row;
use crate::command::check::shortfall::{self, Shortfall};
use crate::inject::{EngineTrial, InjectError, try_engine};
use crate::kernel::netns::in_private;
use crate::kernel::qdisc::{self, Qdiscs};

const PROGRAM: &str = "engine bpf: program";
const TCX: &str = "engine bpf: TCX link";
const CLSACT: &str = "engine bpf: clsact";
const NETEM: &str = "qdisc netem";
const PRIO: &str = "qdisc prio";
const CLASSIFIER: &str = "classifier bpf";
const ENGINE: [&str; 3] = [PROGRAM, TCX, CLSACT];
const QUEUES: [&str; 3] = [NETEM, PRIO, CLASSIFIER];
/// The one interface of a new network namespace.
const INTERFACE: &str = "lo";

/// Tries both engines in a network namespace that is made for it.
pub(super) fn rows(held: &HeldCapabilities, release: Option<&str>) -> Vec<Row> {
    let mut rows = bpf(held).unwrap_or_else(|why| unknown(ENGINE, &why));
    rows.extend(queues(held, release).unwrap_or_else(|why| unknown(QUEUES, &why)));
    rows
}

fn unknown(names: [&str; 3], why: &str) -> Vec<Row> {
    names.map(|name| Row::unknown(Fault, name, why)).into()
}

/// Or why it was not tried.
fn bpf(held: &HeldCapabilities) -> Result<Vec<Row>, String> {
    if let Some(why) = held.why_not_load().or_else(|| held.why_no_playground()) {
        return Err(why);
    }
    let trial = in_private(|| try_engine(INTERFACE));
    trial
        .map(engine_rows)
        .map_err(|error| format!("not tried: {error}"))
}

fn engine_rows(trial: EngineTrial) -> Vec<Row> {
    let program = match trial.load {
        Ok(()) => Row::yes(Fault, PROGRAM, "loads"),
        Err(error) => Row::no(Fault, PROGRAM, error.to_string(), shortfall::FAULT_PROGRAM),
    };
    let attached = |name, outcome, found: &str| {
        let (found, gap) = match outcome {
            None => return Row::unknown(Fault, name, "not tried, without a program to attach"),
            Some(Ok(())) => return Row::yes(Fault, name, found),
            Some(Err(InjectError::NoTcx(error))) => {
                (format!("this kernel has none ({error})"), shortfall::TCX)
            }
            Some(Err(InjectError::Queue { error, .. })) if error.kind() == NotFound => {
                ("this kernel has none".to_owned(), shortfall::CLSACT)
            }
            Some(Err(error)) => (error.to_string(), shortfall::FAULT_PROGRAM),
        };
        Row::no(Fault, name, found, gap)
    };
    vec![
        program,
        attached(TCX, trial.tcx, "attaches, and goes with the tool"),
        attached(CLSACT, trial.clsact, "a filter of it attaches"),
    ]
}

/// Or why they were not tried.
fn queues(held: &HeldCapabilities, release: Option<&str>) -> Result<Vec<Row>, String> {
    if let Some(why) = held.why_no_playground() {
        return Err(why);
    }
    let tried = in_private(|| qdisc::try_on(INTERFACE))
        .map_err(|error| format!("not tried: {error}"))?
        .map_err(|error| format!("cannot be tried: {error}"))?;
    Ok(queue_rows(tried, release.and_then(lost_modules).as_deref()))
}

fn queue_rows(tried: Qdiscs, modules: Option<&str>) -> Vec<Row> {
    let rows = [
        (NETEM, tried.netem, shortfall::NETEM),
        (PRIO, tried.prio, shortfall::PRIO),
        (CLASSIFIER, tried.bpf_classifier, shortfall::BPF_CLASSIFIER),
    ];
    rows.into_iter()
        .map(|(name, outcome, gap)| queue_row(name, outcome, gap, modules))
        .collect()
}

/// `ENOENT` is the kernel's word for a kind that it neither has nor can load; any
/// other refusal says nothing about that.
fn queue_row(name: &str, outcome: io::Result<()>, gap: Shortfall, modules: Option<&str>) -> Row {
    match outcome {
        Ok(()) => Row::yes(Fault, name, "the kernel has it"),
        Err(error) if error.kind() == NotFound => {
            let found = match modules {
                Some(modules) => format!("not built into this kernel, and {modules}"),
                None => "this kernel has none".to_owned(),
            };
            Row::no(Fault, name, found, gap)
        }
        Err(error) => Row::unknown(Fault, name, format!("cannot be tried: {error}")),
    }
}

/// After an upgrade of the kernel and before the boot, modules cannot be found.
fn lost_modules(release: &str) -> Option<String> {
    let folder = format!("/lib/modules/{release}");
    (!Path::new(&folder).exists()).then(|| format!("there is no {folder} to load it from"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_privileges_nothing_is_known() {
        let rows = rows(&HeldCapabilities::default(), Some("6.1"));
        assert_eq!(rows.len(), 6);
        assert!(rows.iter().all(|row| row.ok.is_none()), "{rows:?}");
    }

    #[test]
    fn only_what_the_kernel_does_not_know_is_missing() {
        let row = |outcome: io::Result<()>| queue_row(NETEM, outcome, shortfall::NETEM, None);
        let code = |code| Err(io::Error::from_raw_os_error(code));
        assert_eq!(row(Ok(())).ok, Some(true));
        assert_eq!(row(code(libc::ENOENT)).ok, Some(false));
        assert_eq!(row(code(libc::EPERM)).ok, None);
        assert_eq!(row(code(libc::EINVAL)).ok, None);
    }

    #[test]
    fn no_tcx_is_told_from_a_refusal() {
        let trial = |tcx| EngineTrial {
            load: Ok(()),
            tcx: Some(tcx),
            clsact: Some(Ok(())),
        };
        let old = io::Error::from_raw_os_error(libc::EINVAL);
        let rows = engine_rows(trial(Err(InjectError::NoTcx(old))));
        assert_eq!((rows[0].ok, rows[2].ok), (Some(true), Some(true)));
        assert!(rows[1].remedy.as_deref().unwrap().contains("6.6"));
        let refused = InjectError::Program {
            doing: "attach",
            reason: "Operation not permitted".to_owned(),
        };
        let rows = engine_rows(trial(Err(refused)));
        assert!(rows[1].found.contains("not permitted"));
        assert!(!rows[1].remedy.as_deref().unwrap().contains("6.6"));
        let rows = engine_rows(EngineTrial {
            load: Err(InjectError::NoPeer),
            tcx: None,
            clsact: None,
        });
        assert_eq!((rows[0].ok, rows[1].ok), (Some(false), None));
    }
}
