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
mod faults;
mod guard;
mod interface;
mod layout;
mod offloads;
mod origin;
mod peer;
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

pub use crate::inject::active::ActiveFault;
pub use crate::inject::assignment::{Assignment, AssignmentError, Engine, EngineChoice, Needs};
pub use crate::inject::bitrate::{BitRate, BitRateError};
pub use crate::inject::chance::interval;
pub use crate::inject::clean::{CleanError, Fate, Leftover, clean};
pub use crate::inject::counts::Counts;
pub use crate::inject::direction::Directions;
pub use crate::inject::error::InjectError;
pub use crate::inject::faults::Faults;
pub use crate::inject::guard::{GuardCommand, guard_main};
pub use crate::inject::interface::Interface;
pub use crate::inject::layout::Hook;
pub use crate::inject::peer::{Peer, PeerError};
pub use crate::inject::record::{Note, Record};
pub use crate::inject::refusal::{Allow, Refusal};
pub use crate::inject::request::{FaultRequest, PreparedFault};
pub use crate::inject::schedule::{Plan, Schedule};
pub use crate::inject::share::{Correlation, Share};
pub use crate::inject::spec::{Delay, Draft, FaultSpec, Parameters, SpecError};
pub use crate::inject::status::{Status, Statuses, Unreadable, status};
pub use crate::inject::survey::{Survey, survey};
pub use crate::inject::trial::{EngineTrial, try_engine};
