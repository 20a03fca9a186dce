//! A thread for one piece of work that must not be done on the caller's.

use std::io;
use std::thread::{self, Builder};

/// Calls the closure on a thread of its own and waits for it.
///
/// # Errors
/// When there can be no thread: no memory, or no more processes are allowed.
///
/// # Panics
/// When the closure does.
pub(crate) fn on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    run(Builder::new(), work)
}

fn run<T: Send>(thread: Builder, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| match thread.spawn_scoped(scope, work)?.join() {
        Ok(result) => Ok(result),
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_is_done_elsewhere_and_waited_for() {
        let here = thread::current().id();
        let there = on_own_thread(|| thread::current().id()).expect("a thread");
        assert_ne!(there, here);
    }

    #[test]
    fn no_thread_is_an_error() {
        // More than any address space has.
        let thread = Builder::new().stack_size(1 << 48);
        run(thread, || ()).expect_err("there is no room for its stack");
    }
}
