//! From a process to its number in a PID namespace.

use std::io;

use tracer_ebpf::PidNamespace;

use crate::kernel::btf::{Btf, RunningBtf, TypeName};
use crate::kernel::offsets::member::{self, damaged};

const TASK: &str = "task_struct";
const SIGNAL: &str = "signal_struct";
const PID: &str = "pid";
const UPID: &str = "upid";
const NAMESPACE: &str = "pid_namespace";
const STRUCTS: [&str; 5] = [TASK, SIGNAL, PID, UPID, NAMESPACE];

/// `PIDTYPE_TGID` in
/// [`pid_types.h`](https://github.com/torvalds/linux/blob/v6.12/include/linux/pid_types.h),
/// since 4.19.
const PIDTYPE_TGID: u32 = 1;
const POINTER: u32 = 8;

/// Finds what leads to the numbers of processes in the namespace with that inode, in
/// the running kernel's BTF.
///
/// # Errors
/// If there is none, it cannot be understood, or the members are not what they were.
pub fn of_pids(inum: u32) -> io::Result<PidNamespace> {
    resolve(&RunningBtf::open()?, inum)
}

pub(super) fn resolve(btf: &[u8], inum: u32) -> io::Result<PidNamespace> {
    let btf = Btf::parse(btf, &STRUCTS.map(TypeName::Struct)).map_err(damaged)?;
    let offset = |holder, path: &[&str], width| member::offset(&btf, holder, path, width);
    let upid = btf
        .find(TypeName::Struct(UPID))
        .map(|id| btf.size(id))
        .transpose();
    if upid.map_err(damaged)?.flatten() != Some(2 * POINTER)
        || offset(UPID, &["nr"], Some(4))? != 0
        || offset(UPID, &["ns"], Some(POINTER))? != POINTER
    {
        return Err(absent("struct upid of a number and a namespace"));
    }
    Ok(PidNamespace {
        inum,
        task_signal: offset(TASK, &["signal"], Some(POINTER))?,
        signal_pid: offset(SIGNAL, &["pids"], None)?.saturating_add(PIDTYPE_TGID * POINTER),
        pid_level: offset(PID, &["level"], Some(4))?,
        pid_numbers: offset(PID, &["numbers"], None)?,
        ns_inum: offset(NAMESPACE, &["ns", "inum"], Some(4))?,
    })
}

fn absent(what: &str) -> io::Error {
    let message = format!("this kernel has no {what} that tracer can read");
    io::Error::new(io::ErrorKind::NotFound, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_all() {
        let found = of_pids(7).unwrap();
        assert_eq!(found.inum, 7);
        assert!(found.task_signal > 0 && found.signal_pid > POINTER);
        assert!(found.pid_numbers > found.pid_level && found.ns_inum > 0);
    }

    #[test]
    fn what_is_no_btf_is_an_error() {
        assert!(resolve(b"", 7).is_err());
    }
}
