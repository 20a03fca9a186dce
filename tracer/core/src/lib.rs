//! What `tracer` makes of its measurements, without a kernel, a server, a file or a
//! terminal: `tracer` itself fills a [`recording`], and everything after that is here.
//!
//! [`recording`] → phases and [`diagnosis`] → [`assemble`] → [`report`] → [`render`]

pub mod address;
pub mod assemble;
pub mod awaited;
pub mod by_kind;
pub mod clock;
pub mod compare;
pub mod diagnosis;
pub mod event;
mod evidence;
pub mod harmless;
pub mod interval;
pub mod kernel_counters;
pub mod merge;
pub mod metrics;
pub mod peer_port;
mod phases;
pub mod recording;
pub mod render;
pub mod report;
pub mod spread;
pub mod text;
