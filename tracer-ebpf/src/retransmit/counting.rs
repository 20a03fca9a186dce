//! Adding a hit to the totals of its namespace and to its flow.

use core::ptr;

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::maps::Stack;
use tracer_ebpf::{Flow, FreeRange, Gap, Owner, RetransmitKind, Socket, Totals, Tuple};

use crate::filter;
use crate::kernel::{TcpSocket, field, probed};
use crate::maps::{
    FLOWS, FREE_PLACES, FREE_SLOTS, OWNERS, PLACES, SOCKETLESS, TOTALS, add, count_gap,
};

/// What one hit adds.
#[derive(Clone, Copy)]
pub struct Hit {
    /// A [`RetransmitKind`].
    pub kind: u32,
    /// Segments of this hit as the kernel counts them.
    pub segments: u64,
    /// Bytes of this hit.
    pub bytes: u64,
    /// Whether the segments failed to leave this host.
    pub failed: bool,
}

/// The address of element `index` of a counter array. The mask keeps the index
/// inside the array in a way that the verifier can see.
macro_rules! element {
    ($array:expr, $index:expr) => {
        (&raw mut $array)
            .cast::<u64>()
            .wrapping_add($index as usize & (RetransmitKind::COUNT - 1))
    };
}

/// The totals of a namespace on this CPU, which get a place if they have none.
#[inline(always)]
pub fn totals(netns: u32) -> Option<*mut Totals> {
    TOTALS.get_ptr_mut(place(netns))
}

/// Where the totals of a namespace are, from now on if it was not seen before;
/// [`Socket::NO_PLACE`] if there is no place left.
#[inline(always)]
pub fn place(netns: u32) -> u32 {
    if let Some(place) = PLACES.get_ptr(netns) {
        // SAFETY: a live map value, which nobody changes any more.
        return unsafe { *place };
    }
    let Some(free) = take_number(&FREE_PLACES) else {
        count_gap(Gap::NamespacesFull);
        return Socket::NO_PLACE;
    };
    if PLACES.insert(netns, free, u64::from(BPF_NOEXIST)).is_ok() {
        return free;
    }
    // Another CPU was faster.
    let _ = FREE_PLACES.push(FreeRange::one(free), 0);
    match PLACES.get_ptr(netns) {
        // SAFETY: as above.
        Some(place) => unsafe { *place },
        None => Socket::NO_PLACE,
    }
}

/// Adds a hit of `tcp_retransmit_skb` to the totals, where these counters are its alone.
#[inline(always)]
pub fn count_retransmit(totals: *mut Totals, hit: Hit) {
    if filter::is_alone() {
        add_hit(totals, hit, |counter, value| {
            // SAFETY: the address of a counter in a live map value.
            unsafe { add_alone(counter, value) }
        });
    } else {
        add_hit(totals, hit, add);
    }
}

/// Adds a retransmitted SYN-ACK to the totals.
#[inline(always)]
pub fn count_synack_total(totals: *mut Totals) {
    // SAFETY: `totals` is a live map value.
    unsafe {
        let totals = &mut *totals;
        add(element!(totals.attempts, RetransmitKind::SynAck), 1);
        add(element!(totals.segments, RetransmitKind::SynAck), 1);
    }
}

#[inline(always)]
fn add_hit(totals: *mut Totals, hit: Hit, add: impl Fn(*mut u64, u64)) {
    // SAFETY: `totals` is a live map value.
    unsafe {
        let totals = &mut *totals;
        add(element!(totals.attempts, hit.kind), 1);
        add(element!(totals.segments, hit.kind), hit.segments);
        add(&raw mut totals.bytes, hit.bytes);
        if hit.failed {
            add(&raw mut totals.failed_events, 1);
            add(element!(totals.failed_segments, hit.kind), hit.segments);
        }
    }
}

/// Adds a hit to what the filter kept but the flow table had no room for.
#[inline(always)]
pub fn count_overflow(totals: *mut Totals, hit: Hit) {
    // SAFETY: `totals` is a live map value.
    unsafe {
        let totals = &mut *totals;
        add(element!(totals.overflow_segments, hit.kind), hit.segments);
        add(&raw mut totals.overflow_bytes, hit.bytes);
        if !hit.failed {
            add(&raw mut totals.overflow_events, 1);
        }
    }
}

/// Adds to a counter that has one writer at a time: no lock on the bus.
#[inline(always)]
unsafe fn add_alone(counter: *mut u64, value: u64) {
    // SAFETY: callers pass the address of an aligned `u64` in a live map value. Volatile,
    // because userspace reads it at any moment: one load and one store of the whole.
    unsafe { counter.write_volatile(counter.read_volatile().wrapping_add(value)) };
}

/// Adds a hit to the flow of a socket. The socket's lock makes us its only writer: a slot
/// that is a socket's is no other's, and those without a socket have slots of their own.
#[inline(always)]
pub fn count_flow(flow: *mut Flow, hit: Hit, fin: bool, now: u64) {
    // SAFETY: `flow` is a live map value.
    unsafe {
        let flow = &mut *flow;
        add_alone(element!(flow.segments, hit.kind), hit.segments);
        add_alone(&raw mut flow.bytes, hit.bytes);
        if hit.failed {
            add_alone(&raw mut flow.failed_events, 1);
            add_alone(&raw mut flow.failed_segments, hit.segments);
        } else {
            add_alone(&raw mut flow.events, 1);
        }
        if fin {
            add_alone(&raw mut flow.fin, 1);
        }
    }
    note_time(flow, now);
}

/// Adds a retransmitted SYN-ACK to its flow. Others may do so at the same time.
#[inline(always)]
pub fn count_synack(flow: *mut Flow, now: u64) {
    // SAFETY: `flow` is a live map value.
    unsafe {
        let flow = &mut *flow;
        add(element!(flow.segments, RetransmitKind::SynAck), 1);
        add(&raw mut flow.events, 1);
    }
    note_time(flow, now);
}

#[inline(always)]
fn note_time(flow: *mut Flow, now: u64) {
    // SAFETY: `flow` is a live map value.
    let flow = unsafe { &mut *flow };
    if flow.first_ns == 0 {
        flow.first_ns = now;
    }
    flow.last_ns = now;
}

/// Segments that the kernel counted without a hit that we saw. `failed` where
/// that means that they failed to leave: on kernels whose tracepoint is silent
/// about failures. `flow` is null if there is none.
#[inline(always)]
pub fn count_unseen(totals: *mut Totals, flow: *mut Flow, segments: u64, bytes: u64, failed: bool) {
    // SAFETY: both are live map values.
    unsafe {
        let totals = &mut *totals;
        add(&raw mut totals.unseen_segments, segments);
        add(&raw mut totals.unseen_bytes, bytes);
        if failed {
            add(&raw mut totals.unseen_failed_segments, segments);
        }
        if !flow.is_null() {
            let flow = &mut *flow;
            add_alone(element!(flow.segments, RetransmitKind::Other), segments);
            add_alone(&raw mut flow.bytes, bytes);
            if failed {
                add_alone(&raw mut flow.failed_segments, segments);
            }
        }
    }
}

/// The flow of a socket, given a slot if it has none; null if the table is full, see
/// [`crate::socket::remember`].
#[inline(always)]
pub fn flow_of(tcp: TcpSocket, socket: *mut Socket) -> *mut Flow {
    // SAFETY: `socket` is a live map value.
    let socket = unsafe { &mut *socket };
    if socket.slot != Socket::NO_SLOT {
        return FLOWS.get_ptr_mut(socket.slot).unwrap_or(ptr::null_mut());
    }
    let Some((slot, flow)) = new_slot(&socket.tuple) else {
        return ptr::null_mut();
    };
    // SAFETY: `flow` is a live map value that nobody else knows yet, and empty; an owner is
    // written once, at `connect`, before the socket can be hit.
    unsafe {
        (*flow).inode = inode(tcp);
        if let Some(owner) = OWNERS.get_ptr(tcp.sock) {
            copy(owner, &raw mut (*flow).owner);
        }
    }
    socket.slot = slot;
    flow
}

/// Copies an owner in words: whole, it would be copied by a loop over its bytes, which the
/// verifier follows round by round.
#[inline(always)]
unsafe fn copy(from: *const Owner, to: *mut Owner) {
    type Words = [u64; size_of::<Owner>() / 8];
    const { assert!(align_of::<Owner>() == align_of::<Words>()) };
    // SAFETY: both are an owner, which is words and has no byte that is not initialised.
    unsafe {
        to.cast::<Words>()
            .write_volatile(from.cast::<Words>().read_volatile());
    }
}

/// The flow of a tuple that has no socket to remember it by.
#[inline(always)]
pub fn flow_of_tuple(tuple: &Tuple) -> Option<*mut Flow> {
    // SAFETY: the value is a plain number; a stale one is a slot of the same
    // table, and slots of one tuple are added up.
    if let Some(slot) = unsafe { SOCKETLESS.get(tuple) } {
        return FLOWS.get_ptr_mut(*slot);
    }
    let (slot, flow) = new_slot(tuple)?;
    let _ = SOCKETLESS.insert(tuple, slot, 0);
    Some(flow)
}

#[inline(always)]
fn new_slot(tuple: &Tuple) -> Option<(u32, *mut Flow)> {
    let Some(slot) = take_number(&FREE_SLOTS) else {
        count_gap(Gap::FlowsFull);
        return None;
    };
    let flow = FLOWS.get_ptr_mut(slot)?;
    // SAFETY: the slot was free, so nobody else writes to it.
    unsafe { (*flow).tuple = *tuple };
    Some((slot, flow))
}

/// A number that nobody else has from now on; `None` if there is none left.
#[inline(always)]
fn take_number(free: &Stack<FreeRange>) -> Option<u32> {
    let range = free.pop().ok()??;
    if range.next + 1 < range.end {
        let rest = FreeRange {
            next: range.next + 1,
            end: range.end,
        };
        // There is room: this was taken from there.
        let _ = free.push(rest, 0);
    }
    Some(range.next)
}

/// The inode of the socket's file, by which `/proc/PID/fd` names it.
#[inline(always)]
fn inode(tcp: TcpSocket) -> u64 {
    match field!(tcp.fields, sk_socket, u64) {
        // An orphan: the process has closed it, the kernel still sends.
        None | Some(0) => 0,
        // Behind the end of the socket's own type.
        Some(file) => probed!(file, socket_inode, u64).unwrap_or(0),
    }
}
