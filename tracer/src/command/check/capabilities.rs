//! What the kernel lets this process do.

use caps::Capability::{self, CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYS_PTRACE};

use crate::command::check::row::Group::Capabilities;
use crate::command::check::row::Row;
use crate::command::check::shortfall::{self, Shortfall};
use crate::kernel::preflight;

/// The capabilities that matter, and whether the kernel counts them.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldCapabilities {
    held: Vec<Capability>,
    /// `None` if `/proc` does not say.
    first_user_namespace: Option<bool>,
}

impl HeldCapabilities {
    pub(super) fn by_this_thread() -> Self {
        let matter = [
            CAP_BPF,
            CAP_PERFMON,
            CAP_SYS_ADMIN,
            CAP_SYS_PTRACE,
            CAP_NET_ADMIN,
        ];
        Self {
            held: matter
                .into_iter()
                .filter(|one| preflight::holds(*one))
                .collect(),
            first_user_namespace: preflight::in_first_user_namespace(),
        }
    }

    /// Why kernel programs cannot even be tried; `None` if they can.
    pub(super) fn why_not_load(&self) -> Option<String> {
        if self.first_user_namespace == Some(false) {
            return Some("not tried: this process is in a user namespace".to_owned());
        }
        self.lacks(&[CAP_BPF, CAP_PERFMON])
    }

    /// Why a network namespace of our own cannot be tried out.
    pub(super) fn why_no_playground(&self) -> Option<String> {
        self.lacks(&[CAP_SYS_ADMIN, CAP_NET_ADMIN])
    }

    fn lacks(&self, needed: &[Capability]) -> Option<String> {
        let missing: Vec<_> = needed
            .iter()
            .filter(|capability| !self.has(**capability))
            .map(ToString::to_string)
            .collect();
        (!missing.is_empty()).then(|| format!("not tried, without {}", missing.join(" and ")))
    }

    /// [`capabilities(7)`](https://man7.org/linux/man-pages/man7/capabilities.7.html):
    /// `CAP_SYS_ADMIN` includes the two that were once a part of it.
    fn has(&self, capability: Capability) -> bool {
        let included = matches!(capability, CAP_BPF | CAP_PERFMON);
        self.held.contains(&capability) || included && self.held.contains(&CAP_SYS_ADMIN)
    }
}

pub(super) fn rows(held: &HeldCapabilities) -> Vec<Row> {
    let confined = held.first_user_namespace == Some(false);
    let load = match confined {
        true => shortfall::MAY_LOAD_IN_CONTAINER,
        false => shortfall::MAY_LOAD,
    };
    let enter = "to enter other network namespaces, and for --commits where the kernel wants it (uprobes, below)";
    let name = "to look into the processes of other users";
    let needs = [
        (CAP_BPF, "to load the kernel programs", load),
        (CAP_PERFMON, "to let them read kernel memory", load),
        (CAP_SYS_PTRACE, name, shortfall::MAY_NAME),
        (CAP_SYS_ADMIN, enter, shortfall::MAY_ENTER),
        (CAP_NET_ADMIN, "to make a fault", shortfall::MAY_INJECT),
    ];
    let row = |(capability, purpose, gap): (Capability, &str, Shortfall)| {
        let name = capability.to_string();
        let row = match (held.has(capability), confined) {
            (true, false) => Row::yes(Capabilities, name, purpose),
            (true, true) => {
                let found = format!("{purpose}: held, but only in a user namespace");
                Row::no(Capabilities, name, found, gap)
            }
            (false, _) => Row::no(Capabilities, name, format!("{purpose}: not held"), gap),
        };
        Row {
            required: matches!(capability, CAP_BPF | CAP_PERFMON),
            ..row
        }
    };
    needs.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> HeldCapabilities {
        HeldCapabilities {
            held: [
                CAP_BPF,
                CAP_PERFMON,
                CAP_SYS_ADMIN,
                CAP_SYS_PTRACE,
                CAP_NET_ADMIN,
            ]
            .into(),
            first_user_namespace: Some(true),
        }
    }

    fn all(held: &HeldCapabilities, ok: bool) -> bool {
        rows(held).iter().all(|row| row.ok == Some(ok))
    }

    #[test]
    fn root_holds_all_nobody_none_and_a_container_root_none_that_counts() {
        assert!(all(&root(), true));
        assert_eq!(
            (root().why_not_load(), root().why_no_playground()),
            (None, None)
        );
        assert!(all(&HeldCapabilities::default(), false));
        let confined = HeldCapabilities {
            first_user_namespace: Some(false),
            ..root()
        };
        assert!(all(&confined, false));
        assert!(confined.why_not_load().unwrap().contains("user namespace"));
    }

    #[test]
    fn sys_admin_includes_what_was_once_a_part_of_it() {
        let held = HeldCapabilities {
            held: vec![CAP_SYS_ADMIN],
            first_user_namespace: Some(true),
        };
        assert_eq!(held.why_not_load(), None);
        let playground = held.why_no_playground().unwrap();
        assert_eq!(playground, "not tried, without CAP_NET_ADMIN");
        let none = HeldCapabilities::default().why_not_load().unwrap();
        assert_eq!(none, "not tried, without CAP_BPF and CAP_PERFMON");
    }
}
