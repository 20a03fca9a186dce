//! What the running kernel is and what it says: where its structs keep their
//! members, its counters, its sockets, its network namespaces. Parsing is pure;
//! the functions that read the machine are thin and say so.

pub(crate) mod attributes;
pub(crate) mod bpf;
pub mod btf;
pub(crate) mod clock;
pub(crate) mod counters;
pub(crate) mod descriptors;
pub(crate) mod elf;
pub(crate) mod ethtool;
pub mod fib;
pub mod link;
pub(crate) mod netns;
pub mod offsets;
pub(crate) mod own_thread;
pub(crate) mod parent;
pub(crate) mod pidns;
pub(crate) mod plt;
pub mod preflight;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod qdisc;
pub(crate) mod rtnetlink;
pub(crate) mod server;
pub(crate) mod server_cpu;
pub mod sockets;
pub(crate) mod sockstat;
pub mod tc;
pub(crate) mod tick;
pub(crate) mod tracepoints;
pub mod uprobes;
pub mod version;
