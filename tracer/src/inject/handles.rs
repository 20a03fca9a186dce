//! The numbers and the name by which what a fault puts on an interface is known as ours.

use crate::kernel::tc::{Handle, Place};

/// Of our queueing discipline; nothing picks this number by itself, and read as
/// text it says `tr`.
pub(crate) const ROOT: Handle = Handle::major(0x7472);
/// Of the netem in it.
pub(crate) const NETEM: Handle = Handle::major(0x7473);
/// The class for what is to be troubled: the last. The others are the three that
/// the kernel's own discipline has.
pub(crate) const FAULT_CLASS: u16 = 4;
/// Of our filters.
pub(crate) const FILTER: Handle = Handle(0x7472);
/// By which a filter is known as ours.
pub(crate) const FILTER_NAME: &str = "tracer-fault";

/// Where something hangs on an interface.
pub(crate) const fn place(interface: u32, parent: Handle, handle: Handle) -> Place {
    Place {
        interface,
        parent,
        handle,
    }
}

/// Where filters hang: one on each interface, under the number that the kernel gives it.
pub(crate) const fn clsact(interface: u32) -> Place {
    place(interface, Handle::CLSACT, Handle::major(0xffff))
}
