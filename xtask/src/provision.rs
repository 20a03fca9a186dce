//! What has to be on this machine: Debian's packages, compilers and tools, what was
//! fetched, and the repository itself.

pub(crate) mod apt;
pub(crate) mod cache;
pub mod http;
pub(crate) mod packages;
pub mod repo;
pub(crate) mod tool;
pub(crate) mod toolchain;
