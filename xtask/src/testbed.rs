//! What tests, demo and experiments run on: hosts in network namespaces, servers,
//! load, and the ways to run programs and to wait for them.

pub mod command;
pub(crate) mod figure_table;
pub(crate) mod file;
pub(crate) mod held_programs;
pub(crate) mod injection;
pub(crate) mod interrupt;
pub mod knocks;
pub mod load;
pub(crate) mod lock;
pub mod netns;
pub(crate) mod parallel;
pub mod postgres;
pub mod quantile;
pub(crate) mod random;
pub(crate) mod resource_name;
#[cfg(test)]
pub(crate) mod sample_report;
pub(crate) mod scratch_dir;
pub mod slow_disk;
pub(crate) mod stage_figures;
pub mod wait;
pub mod wire;
pub mod withheld;
