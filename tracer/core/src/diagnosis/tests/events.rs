//! What wait events in the samples say of where a wait was.

use crate::diagnosis::tests::*;

#[test]
fn what_of_the_flush_was_waited_for_is_counted_in_samples() {
    let mut run = Run::waiting("IO", "WALSync");
    for sample in run.bad_samples() {
        let mut waits = vec![wait("IO", "WALSync", 1)];
        if (sample.at_ns / S).is_multiple_of(2) {
            waits.push(wait("LWLock", "WALWrite", 4));
        }
        if (sample.at_ns / S).is_multiple_of(5) {
            waits.push(wait("IO", "WalWrite", 1));
        }
        sample.waits = Some(waits);
    }
    let found = run.first();
    assert_eq!(found.cause, Cause::WalFlush);
    assert!(
        found.text.ends_with(
            ": in 20 of 20 samples a backend waited for the sync (WALSync), in 10 a backend waited \
             while another one wrote and synced (lock WALWrite), in 4 a backend waited for the \
             write (WALWrite)."
        ),
        "{found:?}"
    );
}

#[test]
fn what_no_sample_shows_is_not_said() {
    let found = Run::waiting("IO", "WALWrite").first();
    assert_eq!(found.cause, Cause::WalFlush);
    assert!(!found.text.contains("WALSync)"), "{found:?}");
    assert!(!found.text.contains("lock"), "{found:?}");
}
