//! The log of a command, on standard error.

use log::LevelFilter;

use crate::config::Verbosity;
use crate::terminal;

/// Warnings always; then what the kernel programs log; then every step of the
/// tool's own.
pub(crate) fn start_log(verbosity: Verbosity) {
    let mut logger = env_logger::Builder::new();
    logger.format_target(false);
    logger.target(env_logger::Target::Pipe(Box::new(terminal::Log)));
    match verbosity {
        Verbosity::Quiet | Verbosity::Normal => logger.filter_level(LevelFilter::Warn),
        Verbosity::Verbose(1) => logger
            .filter_level(LevelFilter::Warn)
            .filter_module("tracer_ebpf", LevelFilter::Debug),
        Verbosity::Verbose(_) => logger.filter_level(LevelFilter::Debug),
    };
    // A second run in one process keeps the first one's logger.
    let _ = logger.try_init();
}
