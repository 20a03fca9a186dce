//! The forms that a report takes: pure functions from report to bytes.

pub mod account;
mod aggregate;
mod chart;
pub mod commits;
pub mod comparison;
pub mod database;
pub mod document;
pub mod html;
pub mod json;
pub mod latency_probe;
pub mod live;
pub mod markdown;
pub mod openmetrics;
pub mod plain;
mod stacked_bars;
mod stages;
pub mod status;
pub mod table;
pub mod text;
mod verdict;
mod walreceivers;
mod waterfall;
