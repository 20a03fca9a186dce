//! Network faults on purpose: what was asked, what was refused, what was done.
//!
//! [`FaultRequest::prepare`] finds the interface and refuses what would lock
//! the user out; [`PreparedFault::start`] makes the fault; [`ActiveFault::stop`]
//! undoes it and returns a [`FaultReport`]. A fault cannot outlive the tool:
//! the kernel drops the program with the process, the program itself stops at
//! the end of its time, and a small process of its own (see [`guard_main`])
//! puts the interface's offloads back when the tool is gone, however it went.

mod active;
mod assignment;
mod bitrate;
mod chance;
mod claim;
mod clean;
mod counts;
mod direction;
mod error;
mod ethtool;
mod faults;
mod guard;
mod interface;
mod layout;
mod offloads;
mod origin;
mod peer;
mod percent;
mod place;
mod program;
mod record;
mod refusal;
mod report;
mod request;
mod route;
mod schedule;
mod share;
mod spec;
mod ssh;
mod status;
mod survey;
mod trial;
mod undo;
mod whereabouts;

pub use active::ActiveFault;
pub use assignment::{Assignment, AssignmentError, Engine, EngineChoice, Needs};
pub use bitrate::{BitRate, BitRateError};
pub use chance::interval;
pub use clean::{CleanError, Fate, Leftover, clean};
pub use counts::Counts;
pub use direction::Direction;
pub use error::InjectError;
pub use faults::Faults;
pub use guard::{GuardCommand, guard_main};
pub use interface::Interface;
pub use layout::Hook;
pub use peer::{Peer, PeerError};
pub use percent::Percent;
pub use record::{Note, Record};
pub use refusal::{Allow, Refusal};
#[cfg(test)]
pub(crate) use report::tests::fault;
pub use report::{FaultReport, Qdisc, warnings};
pub use request::{FaultRequest, PreparedFault};
pub use schedule::{Plan, Schedule};
pub use share::{Correlation, Share};
pub use spec::{Delay, Draft, FaultKind, FaultSpec, Parameters, SpecError};
pub use status::{Status, Statuses, Unreadable, status};
pub use survey::{Survey, survey};
pub use trial::{EngineTrial, try_engine};
pub use whereabouts::Whereabouts;
