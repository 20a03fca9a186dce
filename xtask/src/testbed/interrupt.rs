//! Ctrl-C and its relatives become an error that unwinds through every guard,
//! so that a lab is taken down the same way however its run ended.

use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// The signal that came, or 0.
static CAUGHT: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(signal: i32) {
    CAUGHT.store(signal, Ordering::Relaxed);
}

/// From now on SIGINT, SIGTERM and SIGHUP are noted and end nothing by
/// themselves. Programs started later begin with the default again.
pub(crate) fn install() -> Result<()> {
    // Without SA_RESTART a blocking call returns early, and its caller looks.
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which is
        // async-signal-safe, and it lives as long as the program.
        unsafe { sigaction(signal, &action) }.with_context(|| format!("cannot catch {signal}"))?;
    }
    Ok(())
}

pub(crate) fn caught() -> Option<Signal> {
    Signal::try_from(CAUGHT.load(Ordering::Relaxed)).ok()
}

/// Fails when the user asked this program to stop.
pub(crate) fn check() -> Result<()> {
    match caught() {
        Some(signal) => bail!("stopped by {signal}"),
        None => Ok(()),
    }
}
