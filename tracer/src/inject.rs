//! Network faults on purpose: what was asked, what was refused, what was done.
//!
//! [`FaultRequest::prepare`] finds the interface and refuses what would lock
//! the user out; [`PreparedFault::start`] makes the fault; [`ActiveFault::stop`]
//! undoes it and returns a [`FaultReport`]. A fault cannot outlive the tool:
//! the kernel drops the program with the process, the program itself stops at
//! the end of its time, and a small process of its own (see [`guard_main`])
//! puts the interface's offloads back when the tool is gone, however it went.

mod active;
mod chance;
mod engine;
mod error;
mod ethtool;
mod guard;
mod interface;
mod offloads;
mod percent;
mod refusal;
mod report;
mod request;
mod route;
mod schedule;
mod spec;
mod ssh;
mod survey;
mod trial;

pub use active::ActiveFault;
pub use chance::{Sample, interval};
pub use error::InjectError;
pub use guard::{GuardCommand, guard_main};
pub use interface::Interface;
pub use percent::Percent;
pub use refusal::{Allow, Refusal};
pub use report::{FaultReport, FaultTotals};
pub use request::{FaultRequest, PreparedFault};
pub use schedule::{Plan, Schedule};
pub use spec::{FaultKind, FaultSpec, SpecError};
pub use survey::{Survey, survey};
pub use trial::{EngineTrial, try_engine};
