//! Work on several things at a time.

use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Result;

use crate::testbed::interrupt;

/// What the work makes of each, in their order; so many are worked on at a time. After an
/// interrupt none is begun.
pub(crate) fn map<T: Sync, R: Send>(
    jobs: usize,
    all: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            match all.get(at) {
                Some(one) if interrupt::caught().is_none() => done.push((at, work(one))),
                _ => return done,
            }
        }
    };
    let mut done = thread::scope(|scope| {
        let jobs = jobs.clamp(1, all.len().max(1));
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(worker)).collect();
        let ended = workers.into_iter().map(thread::ScopedJoinHandle::join);
        let of_each = ended.map(|done| done.unwrap_or_else(|reason| panic::resume_unwind(reason)));
        of_each.flatten().collect::<Vec<_>>()
    });
    interrupt::check()?;
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, made)| made).collect()
}

#[cfg(test)]
mod tests {
    use anyhow::ensure;

    use super::*;

    #[test]
    fn the_order_stays_and_the_first_error_counts() {
        let all: Vec<u32> = (0..50).collect();
        assert_eq!(
            map(4, &all, |one| Ok(one + 1)).unwrap(),
            (1..51).collect::<Vec<_>>()
        );
        let refuse = |one: &u32| {
            ensure!(one % 10 != 3, "{one}");
            Ok(())
        };
        assert_eq!(map(4, &all, refuse).unwrap_err().to_string(), "3");
        assert!(map(4, &[], refuse).unwrap().is_empty());
    }
}
