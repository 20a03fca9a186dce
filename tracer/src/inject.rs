//! Network faults on purpose: what was asked, what was refused, what was done.
//!
//! [`FaultRequest::prepare`] finds the interface and refuses what would lock
//! the user out; [`PreparedFault::start`] makes the fault; [`ActiveFault::stop`]
//! undoes it and returns a [`FaultReport`](tracer_core::report::fault::FaultReport). A fault cannot outlive the tool:
//! the kernel drops the program with the process, the program itself stops at
//! the end of its time, and a small process of its own (see [`guard_main`])
//! puts the interface's offloads back when the tool is gone, however it went.

pub(crate) mod engine;
pub(crate) mod error;
pub(crate) mod guard;
pub(crate) mod handles;
pub(crate) mod interface;
pub(crate) mod plan;
pub(crate) mod request;
pub(crate) mod safety;
pub(crate) mod schedule;

pub use crate::inject::engine::active::ActiveFault;
pub use crate::inject::engine::confidence_interval::interval;
pub use crate::inject::engine::counts::Counts;
pub(crate) use crate::inject::engine::dry_load::{EngineTrial, try_engine};
pub use crate::inject::engine::prepared::PreparedFault;
pub use crate::inject::error::{InjectError, Refusal};
pub(crate) use crate::inject::guard::clean::{Fate, clean};
pub(crate) use crate::inject::guard::state_file::Note;
pub use crate::inject::guard::state_file::Record;
pub use crate::inject::guard::status::status;
pub(crate) use crate::inject::guard::status::{Status, Statuses, Unreadable};
pub use crate::inject::guard::{GuardCommand, guard_main};
pub(crate) use crate::inject::interface::Interface;
pub use crate::inject::plan::assignment::EngineChoice;
pub(crate) use crate::inject::plan::assignment::{Assignment, AssignmentError, Engine, Needs};
pub use crate::inject::plan::bitrate::BitRate;
pub(crate) use crate::inject::plan::bitrate::BitRateError;
pub use crate::inject::plan::direction::Directions;
pub use crate::inject::plan::faults::Faults;
pub use crate::inject::plan::hook::Hook;
pub use crate::inject::plan::peer::Peer;
pub(crate) use crate::inject::plan::peer::PeerError;
pub(crate) use crate::inject::plan::share::{Correlation, Share};
pub use crate::inject::plan::spec::FaultSpec;
pub(crate) use crate::inject::plan::spec::{Draft, Parameters, SpecError};
pub use crate::inject::request::FaultRequest;
pub use crate::inject::safety::hazards::Allow;
pub(crate) use crate::inject::safety::inspect::{Survey, survey};
pub(crate) use crate::inject::schedule::{Schedule, ScheduledFault};
