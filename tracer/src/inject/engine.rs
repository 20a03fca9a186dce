//! What makes a fault: the changes to the interface, in their order, the kernel program
//! and netem, and what both counted.

pub(crate) mod active;
pub(crate) mod confidence_interval;
pub(crate) mod counts;
pub(crate) mod dry_load;
pub(crate) mod fault_plan;
pub(crate) mod prepared;
pub(crate) mod program;
pub(crate) mod report;
