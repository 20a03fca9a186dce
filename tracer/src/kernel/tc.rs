//! Traffic control, asked over rtnetlink: queueing disciplines and their filters.
//!
//! Always that of the network namespace that the calling thread is in. Structs
//! and numbers are those of
//! [linux/pkt_sched.h](https://github.com/torvalds/linux/blob/v6.18/include/uapi/linux/pkt_sched.h),
//! [linux/pkt_cls.h](https://github.com/torvalds/linux/blob/v6.18/include/uapi/linux/pkt_cls.h)
//! and [linux/rtnetlink.h](https://github.com/torvalds/linux/blob/v6.18/include/uapi/linux/rtnetlink.h).

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod distribution;
mod netem;
mod object;

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use netlink_packet_core::{
    DefaultNla, Emitable, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpfOption, TcHandle, TcMessage, TcOption,
};

use crate::kernel::rtnetlink::{exchange, exchange_raw};

pub use crate::kernel::tc::distribution::Distribution;
pub use crate::kernel::tc::netem::{Loss, Netem, Probability};
pub use crate::kernel::tc::object::{Object, Stats};

const TCA_OPTIONS: u16 = 2;
const TCA_BPF_NAME: u16 = 7;
/// `htons(ETH_P_ALL)`, the lower half of `tcm_info`.
const EVERY_PROTOCOL: u32 = 0x0003_u16.to_be() as u32;

/// `MAJOR:MINOR` of a queueing discipline, class or filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Handle(pub u32);

impl Handle {
    /// Of what the kernel put there by itself.
    pub const NONE: Self = Self(0);
    /// Where the discipline of a whole interface is.
    pub const ROOT: Self = Self(0xffff_ffff);
    /// Where `clsact` is, which has filters and no queue.
    pub const CLSACT: Self = Self(0xffff_fff1);
    /// Filters of `clsact` for what arrives.
    pub const INGRESS: Self = Self(0xffff_fff2);
    /// Filters of `clsact` for what leaves.
    pub const EGRESS: Self = Self(0xffff_fff3);

    /// A discipline's own handle.
    #[must_use]
    pub const fn major(number: u16) -> Self {
        Self((number as u32) << 16)
    }

    /// A class of the discipline.
    #[must_use]
    pub const fn class(self, minor: u16) -> Self {
        Self(self.0 | minor as u32)
    }
}

/// As `tc` writes it.
impl std::fmt::Display for Handle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::ROOT => formatter.write_str("root"),
            Self::CLSACT => formatter.write_str("ffff:fff1"),
            Self(handle) => {
                write!(formatter, "{:x}:", handle >> 16)?;
                match handle & 0xffff {
                    0 => Ok(()),
                    minor => write!(formatter, "{minor:x}"),
                }
            }
        }
    }
}

/// A place on an interface for a discipline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of the interface.
    pub interface: u32,
    /// What it hangs on.
    pub parent: Handle,
    /// Its own name.
    pub handle: Handle,
}

/// Adds a queueing discipline where there is none but the kernel's own.
///
/// # Errors
/// The kernel's: `EEXIST` if there is one, `ENOENT` if it has no such kind.
pub fn add_qdisc(place: Place, kind: &str, options: &[u8]) -> io::Result<()> {
    put_qdisc(place, kind, options, NLM_F_EXCL)
}

/// Adds a queueing discipline, in place of what is there.
///
/// # Errors
/// The kernel's.
pub fn replace_qdisc(place: Place, kind: &str, options: &[u8]) -> io::Result<()> {
    put_qdisc(place, kind, options, NLM_F_REPLACE)
}

fn put_qdisc(place: Place, kind: &str, options: &[u8], how: u16) -> io::Result<()> {
    let mut message = about(place, kind)?;
    if !options.is_empty() {
        let options = DefaultNla::new(TCA_OPTIONS, options.to_vec());
        message.attributes.push(TcAttribute::Other(options));
    }
    exchange(
        RouteNetlinkMessage::NewQueueDiscipline(message),
        NLM_F_ACK | NLM_F_CREATE | how,
        |_| (),
    )
}

/// Removes exactly that discipline, with all that hangs on it.
///
/// # Errors
/// The kernel's: `EINVAL` if another kind, or one of another handle, is there;
/// `ENOENT` if none is.
pub fn delete_qdisc(place: Place, kind: &str) -> io::Result<()> {
    let message = about(place, kind)?;
    exchange(
        RouteNetlinkMessage::DelQueueDiscipline(message),
        NLM_F_ACK,
        |_| (),
    )
}

/// Every queueing discipline of the interface, those of the kernel's own that
/// `tc qdisc show` shows among them.
///
/// # Errors
/// The kernel's.
pub fn qdiscs(interface: u32) -> io::Result<Vec<Object>> {
    let message = TcMessage::with_index(index(interface)?);
    objects(
        RouteNetlinkMessage::GetQueueDiscipline(message),
        interface,
        None,
    )
}

/// Every filter there; none if there is nothing that has filters.
///
/// # Errors
/// The kernel's.
pub fn filters(interface: u32, parent: Handle) -> io::Result<Vec<Object>> {
    let mut message = TcMessage::with_index(index(interface)?);
    message.header.parent = TcHandle::from(parent.0);
    let found = objects(
        RouteNetlinkMessage::GetTrafficFilter(message),
        interface,
        Some(parent),
    );
    match found {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOENT)) => {
            Ok(Vec::new())
        }
        found => found,
    }
}

fn objects(
    message: RouteNetlinkMessage,
    interface: u32,
    parent: Option<Handle>,
) -> io::Result<Vec<Object>> {
    let mut found = Vec::new();
    exchange_raw(message, NLM_F_DUMP, |bytes| {
        let object = Object::parse(bytes)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "half an answer"))?;
        // Every interface's disciplines come, whatever was asked for.
        if object.interface == interface && parent.is_none_or(|parent| object.parent == parent) {
            found.push(object);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Makes a program the filter of that handle and priority, for every protocol.
/// What the program returns is what is done.
///
/// # Errors
/// The kernel's: `EEXIST` if there is such a filter.
pub fn add_bpf_filter(
    place: Place,
    priority: u16,
    program: BorrowedFd<'_>,
    name: &str,
) -> io::Result<()> {
    let mut message = about(place, "bpf")?;
    message.header.info = info(priority);
    let program = u32::try_from(program.as_raw_fd()).map_err(io::Error::other)?;
    let options = [
        TcFilterBpfOption::ProgFd(program),
        TcFilterBpfOption::ProgName(name.to_owned()),
        // The program's return code is the action.
        TcFilterBpfOption::Flags(TcBpfFlags::DirectAction),
    ];
    let options = options.map(TcOption::Bpf).into();
    message.attributes.push(TcAttribute::Options(options));
    exchange(
        RouteNetlinkMessage::NewTrafficFilter(message),
        NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
        |_| (),
    )
}

/// Removes exactly that filter.
///
/// # Errors
/// The kernel's: `ENOENT` or `EINVAL` if there is none.
pub fn delete_bpf_filter(place: Place, priority: u16) -> io::Result<()> {
    let mut message = about(place, "bpf")?;
    message.header.info = info(priority);
    exchange(
        RouteNetlinkMessage::DelTrafficFilter(message),
        NLM_F_ACK,
        |_| (),
    )
}

/// `struct tc_prio_qopt`: so many bands, and the kernel's own choice among the
/// first three by the packet's priority
/// ([`prio2band`](https://github.com/torvalds/linux/blob/v6.18/net/sched/sch_generic.c)).
#[must_use]
pub fn prio_options(bands: u32) -> Vec<u8> {
    const BAND_OF_PRIORITY: [u8; 16] = [1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1];
    [&bands.to_ne_bytes()[..], &BAND_OF_PRIORITY].concat()
}

fn about(place: Place, kind: &str) -> io::Result<TcMessage> {
    let mut message = TcMessage::with_index(index(place.interface)?);
    message.header.parent = TcHandle::from(place.parent.0);
    message.header.handle = TcHandle::from(place.handle.0);
    message.attributes = vec![TcAttribute::Kind(kind.to_owned())];
    Ok(message)
}

fn index(interface: u32) -> io::Result<i32> {
    i32::try_from(interface).map_err(io::Error::other)
}

fn info(priority: u16) -> u32 {
    u32::from(priority) << 16 | EVERY_PROTOCOL
}

/// Attributes as the bytes of their parent's value.
fn emitted(attributes: &[DefaultNla]) -> Vec<u8> {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_written_as_tc_does() {
        let handle = Handle::major(0x7472);
        assert_eq!(handle.to_string(), "7472:");
        assert_eq!(handle.class(4).to_string(), "7472:4");
        assert_eq!(Handle::ROOT.to_string(), "root");
        assert_eq!(Handle::EGRESS.to_string(), "ffff:fff3");
        assert_eq!(Handle::NONE.to_string(), "0:");
    }

    #[test]
    fn prio_has_the_bands_and_the_kernels_map() {
        let options = prio_options(4);
        assert_eq!(options.len(), 20);
        assert_eq!(options[..4], 4_u32.to_ne_bytes());
        assert_eq!(options[4..8], [1, 2, 2, 2]);
    }
}
