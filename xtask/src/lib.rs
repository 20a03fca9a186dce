//! Shared by the subcommands and by tests: the lab.
pub mod btf;
