//! What takes most of the time until tracer counts: the kernel verifies each program that it
//! is given. It does so for several at a time, if several threads ask for it: it takes a lock
//! only for those without the right to load programs such as these
//! ([`bpf_check`](https://github.com/torvalds/linux/blob/v5.10/kernel/bpf/verifier.c)).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use aya::Ebpf;
use aya::programs::RawTracePoint;

use crate::programs::Options;
use crate::programs::typed::{TypedError, TypedPrograms, Unloaded, UnloadedProgram};

/// How many threads help this one. Two programs at a time take half as long as one after the
/// other; where every processor is busy, more threads wait longer for one than they save.
const HELPERS: usize = 1;

enum Job<'a> {
    Typed(UnloadedProgram<'a>),
    Plain(&'a mut RawTracePoint),
}

/// Loads the typed programs, and those of aya that are in no such form. A refusal of one
/// of the latter is heard by who attaches it.
pub(crate) fn load(options: &Options, ebpf: &mut Ebpf) -> Result<TypedPrograms, TypedError> {
    let unloaded = Unloaded::prepare(options, ebpf)?;
    let typed = unloaded.each()?.into_iter().map(Job::Typed);
    let others = plain(ebpf, |name| !unloaded.has(name));
    let loaded = Mutex::new(Vec::new());
    work_on(typed.chain(others).collect(), |job| match job {
        Job::Typed(program) => {
            let one = program.load();
            locked(&loaded).push(one);
        }
        Job::Plain(program) => drop(program.load()),
    });
    let loaded = loaded.into_inner().unwrap_or_else(PoisonError::into_inner);
    let programs = loaded.into_iter().collect::<Result<_, _>>()?;
    Ok(unloaded.loaded(programs))
}

/// Loads all programs of aya. A refusal is heard by who attaches one.
pub(crate) fn load_plain(ebpf: &mut Ebpf) {
    work_on(plain(ebpf, |_| true).collect(), |job| {
        if let Job::Plain(program) = job {
            drop(program.load());
        }
    });
}

fn plain<'a>(
    ebpf: &'a mut Ebpf,
    wanted: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = Job<'a>> {
    let programs = ebpf.programs_mut().filter(move |(name, _)| wanted(name));
    programs.filter_map(|(_, program)| Some(Job::Plain(program.try_into().ok()?)))
}

/// Does the work for each, for several at a time.
fn work_on<T: Send>(all: Vec<T>, work: impl Fn(T) + Sync) {
    let helpers = all.len().saturating_sub(1).min(HELPERS);
    let left = Mutex::new(all.into_iter());
    let worker = || {
        loop {
            let next = locked(&left).next();
            let Some(one) = next else {
                return;
            };
            work(one);
        }
    };
    thread::scope(|scope| {
        for _ in 0..helpers {
            // Without one it only takes longer.
            if let Err(error) = thread::Builder::new().spawn_scoped(scope, worker) {
                log::debug!("no thread to help load the programs: {error}");
            }
        }
        worker();
    });
}

/// Nothing is left half done by who panics.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn everything_is_worked_on_once() {
        for count in [0, 1, 2, 50] {
            let sum = AtomicU32::new(0);
            work_on((1..=count).collect(), |one| {
                sum.fetch_add(one, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), count * (count + 1) / 2);
        }
    }
}
