//! What userspace tells the programs, and what they could not do.

/// How many ports a filter can name.
pub const MAX_PORTS: usize = 16;

/// Frozen before the programs are loaded.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Inode of the only network namespace to trace; 0 for all.
    pub netns: u32,
    /// 1 if flows are selected by the `PEERS` trie, 0 if every peer is kept.
    pub filter_peers: u32,
    /// 1 if flows are selected by the `PORTS` of either end, 0 if every port is
    /// kept.
    pub filter_ports: u32,
    /// 1 if all events go to the ring buffer.
    pub events: u32,
    /// 1 if those do that tell of a loss: retransmits, and bad checksums.
    pub losses: u32,
    /// Bytes of events from which userspace is woken; before that it looks by itself.
    pub wake_bytes: u32,
    /// 1 if the kernel runs a program on a CPU only when it does not run there already, as
    /// [since 6.1](https://github.com/torvalds/linux/blob/v6.1/kernel/trace/bpf_trace.c#L2249).
    pub one_at_a_time: u32,
}

/// The word of userspace that changes while the programs run (map `CONTROL`, index 0).
///
/// Before counting starts, the retransmits that existing sockets already have
/// must be known; the programs learn what they can see themselves, userspace
/// adds the rest from a socket dump.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Sockets are learnt, nothing is counted: the state the map starts in.
    Learning = 0,
    /// Everything is counted.
    Counting = 1,
}

/// What a socket had already retransmitted when tracing began.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// `tcpi_bytes_retrans`.
    pub bytes: u64,
    /// `tcpi_total_retrans`.
    pub segments: u32,
    /// Explicit padding.
    pub _pad: u32,
}

/// What the programs had to give up. The discriminant indexes the per-CPU array
/// `GAPS`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// No room for a flow: its counts went to the overflow sums.
    FlowsFull = 0,
    /// No room to remember a socket: what its hit added is counted later, of unknown kind,
    /// when it is remembered after all, or closes, or tracing ends.
    SocketsFull = 1,
    /// No room for a network namespace: its hits are in no total.
    NamespacesFull = 2,
    /// The ring buffer was full: events without their detail, never a count.
    EventsLost = 3,
    /// A kernel field could not be read.
    ReadFailed = 4,
}

impl Control {
    /// Length of the map `CONTROL`.
    pub const WORDS: u32 = 2;
    /// The second word: not 0 once a socket could not be remembered.
    pub const NO_ROOM: u32 = 1;
}

impl Gap {
    /// Number of gaps: the length of `GAPS`.
    pub const COUNT: usize = 5;
}

const _: () = assert!(size_of::<Settings>() == 28);
const _: () = assert!(size_of::<Baseline>() == 16);

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]` structs of integers without implicit padding (sizes
    // asserted above).
    unsafe impl aya::Pod for super::Settings {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Baseline {}
}
