//! What tests of several commands use: the program, hosts' traffic, and what the kernel
//! says of both.

pub(crate) mod datagrams;
pub(crate) mod exact;
pub(crate) mod fault;
pub(crate) mod folder;
pub(crate) mod kernel;
pub(crate) mod listeners;
pub(crate) mod outlet;
pub(crate) mod pages;
pub(crate) mod pair;
pub(crate) mod program;
pub(crate) mod report;
pub(crate) mod rights;
pub(crate) mod storm;
pub(crate) mod surroundings;
pub(crate) mod tool;
pub(crate) mod traffic;
