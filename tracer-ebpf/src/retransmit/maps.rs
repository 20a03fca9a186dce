//! Every map and global, with the reason for its size.

use aya_ebpf::bindings::{BPF_NOEXIST, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf, Stack};
use tracer_ebpf::{
    Baseline, Control, Ends, Event, Flow, FreeRange, Gap, Offsets, Owner, Service, Settings,
    Totals, Tuple,
};

/// `BPF_F_NO_PREALLOC`, which a trie demands.
const NO_PREALLOC: u32 = 1;

/// Where the running kernel keeps its fields.
#[unsafe(no_mangle)]
pub static OFFSETS: Offsets = Offsets::UNRESOLVED;

/// What userspace asked for.
#[unsafe(no_mangle)]
pub static SETTINGS: Settings = Settings {
    netns: 0,
    filter_peers: 0,
    filter_ports: 0,
    events: 0,
    losses: 0,
    wake_bytes: 0,
    one_at_a_time: 0,
};

/// [`tracer_ebpf::Control`]: learning until userspace says otherwise.
#[map]
pub static CONTROL: Array<u32> = Array::with_max_entries(Control::WORDS, 0);

/// What sockets had retransmitted before tracing began. Filled once by
/// userspace, which also sizes it.
#[map]
pub static BASELINES: HashMap<Tuple, Baseline> = HashMap::with_max_entries(1, 0);

/// The flows that retransmitted. Userspace reads a thousand at a time, so that all of them can be
/// read in a quiet moment.
#[map]
pub static FLOWS: Array<Flow> = Array::with_max_entries(8_192, 0);

/// Slots of [`FLOWS`] that no flow has. Userspace puts all of them here, and gives back, empty,
/// those whose sockets have closed, once it has taken what was in them.
#[map]
pub static FREE_SLOTS: Stack<FreeRange> = Stack::with_max_entries(8_192, 0);

/// Slots of flows that have SYN-ACKs or resets but no socket of their own.
/// Losing an entry costs a second slot for the same tuple, never a count.
#[map]
pub static SOCKETLESS: LruHashMap<Tuple, u32> = LruHashMap::with_max_entries(4_096, 0);

/// Who called `connect` on sockets that are not closed yet. Losing an entry
/// costs a name, which userspace then looks up in `/proc`.
#[map]
pub static OWNERS: LruHashMap<u64, Owner> = LruHashMap::with_max_entries(4_096, 0);

/// Sums by network namespace. A socket that is remembered knows where those of its namespace
/// are: retransmits come by the thousand, and nothing is searched for then.
#[map]
pub static TOTALS: PerCpuArray<Totals> =
    PerCpuArray::with_max_entries(tracer_ebpf::MAX_NAMESPACES, 0);

/// Where in [`TOTALS`] the sums of a namespace are.
#[map]
pub static PLACES: HashMap<u32, u32> = HashMap::with_max_entries(tracer_ebpf::MAX_NAMESPACES, 0);

/// The places in [`TOTALS`] that no namespace has yet; userspace puts them here.
#[map]
pub static FREE_PLACES: Stack<FreeRange> = Stack::with_max_entries(tracer_ebpf::MAX_NAMESPACES, 0);

/// Segments with a bad checksum by the address that sent them, of the peers to keep. With
/// more senders than this it is no longer known of each segment who sent it, and userspace
/// sees that by the sum.
#[map]
pub static BAD_CHECKSUMS: HashMap<[u8; 16], u64> = HashMap::with_max_entries(1_024, 0);

/// The same by the connection that their headers name. Of what is damaged, ports may be, so
/// that this fills up with connections that never were; what comes then is missing here.
#[map]
pub static BAD_CHECKSUM_ENDS: HashMap<Ends, u64> = HashMap::with_max_entries(4_096, 0);

/// Segments sent, by the address that they went to, of the peers to keep: those of sockets
/// that have closed. With more receivers than this some are missing, and userspace sees that
/// the map is full.
#[map]
pub static SENT: HashMap<[u8; 16], u64> = HashMap::with_max_entries(1_024, 0);

/// When a service answered a connection from here the last time, ns of `CLOCK_MONOTONIC`. With
/// more services than this some are missing, and userspace sees that the map is full.
#[map]
pub static ANSWERED: HashMap<Service, u64> = HashMap::with_max_entries(4_096, 0);

/// Prefixes of the peers to keep: 16 bytes, IPv4 as `::ffff:a.b.c.d`.
#[map]
pub static PEERS: LpmTrie<[u8; 16], u32> = LpmTrie::with_max_entries(1_024, NO_PREALLOC);

/// Ports of either end to keep, host order.
#[map]
pub static PORTS: HashMap<u16, u32> = HashMap::with_max_entries(tracer_ebpf::MAX_PORTS as u32, 0);

/// What had to be given up, by [`Gap`].
#[map]
pub static GAPS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Gap::COUNT as u32, 0);

/// Individual events. Userspace enlarges it when somebody asked for them; a page
/// is the least that the kernel accepts.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(4_096, 0);

/// Counts something that had to be given up.
#[inline(always)]
pub fn count_gap(gap: Gap) {
    if let Some(count) = GAPS.get_ptr_mut(gap as u32) {
        add(count, 1);
    }
}

/// Adds to the count of a peer, or of a connection, which begins with the first.
#[inline(always)]
pub fn add_to<K>(counts: &HashMap<K, u64>, key: &K, value: u64) {
    if counts.get_ptr_mut(key).is_none() {
        // Another CPU may be first: then there is an entry to add to as well.
        let _ = counts.insert(key, 0, u64::from(BPF_NOEXIST));
    }
    if let Some(count) = counts.get_ptr_mut(key) {
        add(count, value);
    }
}

/// Adds to a counter of a map, atomically: a program may be interrupted by
/// another one on the same CPU that updates the same counter.
#[inline(always)]
pub fn add(counter: *mut u64, value: u64) {
    // SAFETY: callers pass the address of an aligned `u64` in a live map value.
    // `core` offers no `fetch_add` for a target without compare-and-swap, and
    // LLVM must not choose the form that returns the old value: 5.10 lacks it.
    unsafe {
        core::arch::asm!("lock *(u64 *)({counter} + 0) += {value}", counter = in(reg) counter, value = in(reg) value);
    }
}

/// Sends an event.
#[inline(always)]
pub fn emit(event: &Event) {
    match EVENTS.reserve::<Event>(0) {
        Some(mut record) => {
            record.write(*event);
            record.submit(wake_up());
        }
        None => count_gap(Gap::EventsLost),
    }
}

/// How many records may come at once, on different CPUs, and each see the others.
const AT_ONCE: u64 = 8;

/// Whether userspace is to be woken. That costs ten times what everything else here does,
/// and userspace looks several times a second without it; so only when much is waiting, and
/// then not at each record while it has not come yet.
#[inline(always)]
fn wake_up() -> u64 {
    // SAFETY: a frozen global; volatile, because the loader changes it.
    let from = u64::from(unsafe { core::ptr::read_volatile(&raw const SETTINGS.wake_bytes) });
    let waiting = EVENTS.query(u64::from(BPF_RB_AVAIL_DATA));
    let window = AT_ONCE * size_of::<Event>() as u64;
    if waiting >= from && waiting - from < window {
        u64::from(BPF_RB_FORCE_WAKEUP)
    } else {
        u64::from(BPF_RB_NO_WAKEUP)
    }
}

/// Whether all events are wanted.
#[inline(always)]
pub fn wants_events() -> bool {
    // SAFETY: a frozen global; volatile, because the loader changes it.
    unsafe { core::ptr::read_volatile(&raw const SETTINGS.events) == 1 }
}

/// Whether those are wanted that tell of a loss.
#[inline(always)]
pub fn wants_losses() -> bool {
    // SAFETY: as above.
    unsafe { core::ptr::read_volatile(&raw const SETTINGS.losses) == 1 }
}

/// Whether counting has begun.
#[inline(always)]
pub fn counting() -> bool {
    CONTROL
        .get_ptr(0)
        // SAFETY: the pointer is to a live map value; volatile, because
        // userspace changes it at any moment.
        .is_some_and(|word| unsafe { core::ptr::read_volatile(word) } == Control::Counting as u32)
}

/// Notes that a socket could not be remembered.
#[inline(always)]
pub fn note_no_room() {
    if let Some(word) = CONTROL.get_ptr_mut(Control::NO_ROOM) {
        // SAFETY: a live map value.
        unsafe { core::ptr::write_volatile(word, 1) };
    }
}

/// Whether a socket could not be remembered for want of room: then what is found of one at
/// its end may have been shown.
#[inline(always)]
pub fn had_no_room() -> bool {
    CONTROL
        .get_ptr(Control::NO_ROOM)
        // SAFETY: as above.
        .is_some_and(|word| unsafe { core::ptr::read_volatile(word) } != 0)
}
