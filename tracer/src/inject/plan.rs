//! What a fault is: its kinds and their parameters, whose packets it is for, and which
//! engine can do it. Values only; nothing here touches an interface.

pub(crate) mod assignment;
pub(crate) mod bitrate;
pub(crate) mod direction;
pub(crate) mod faults;
pub(crate) mod hook;
pub(crate) mod offloads;
pub(crate) mod peer;
pub(crate) mod share;
pub(crate) mod spec;
