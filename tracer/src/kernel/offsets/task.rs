//! From a process to the one that it is a child of.

use std::io;

use crate::kernel::btf::{Btf, RunningBtf, TypeName};
use crate::kernel::offsets::member::{self, damaged};

/// Where `struct task_struct` keeps what leads to the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskOffsets {
    /// `task_struct.real_parent`, a pointer.
    pub real_parent: u32,
    /// `task_struct.tgid`, 4 bytes.
    pub tgid: u32,
}

/// Finds them in the running kernel's BTF.
///
/// # Errors
/// If there is none, it cannot be understood, or they are not what they were.
pub fn of_tasks() -> io::Result<TaskOffsets> {
    resolve(&RunningBtf::open()?)
}

pub(super) fn resolve(btf: &[u8]) -> io::Result<TaskOffsets> {
    let wanted = [TypeName::Struct("task_struct")];
    let btf = Btf::parse(btf, &wanted).map_err(damaged)?;
    let offset = |name, width| member::offset(&btf, "task_struct", &[name], Some(width));
    Ok(TaskOffsets {
        real_parent: offset("real_parent", 8)?,
        tgid: offset("tgid", 4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_both() {
        let found = of_tasks().unwrap();
        assert!(found.tgid > 0 && found.real_parent > found.tgid);
    }

    #[test]
    fn what_is_no_btf_is_an_error() {
        assert!(resolve(b"").is_err());
    }
}
