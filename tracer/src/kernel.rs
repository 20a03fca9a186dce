//! What the running kernel is and what it says: where its structs keep their
//! members, its counters, its sockets, its network namespaces. Parsing is pure;
//! the functions that read the machine are thin and say so.

pub(crate) mod attributes;
pub mod btf;
pub mod counters;
pub(crate) mod fib;
pub mod link;
pub mod netns;
pub mod offsets;
pub mod pidns;
pub mod qdisc;
pub(crate) mod rtnetlink;
pub mod sockets;
pub mod sockstat;
pub mod tc;
pub mod tick;
pub mod tracepoints;
pub mod uprobes;
pub mod version;
