//! A backend that stands still at the beginning of one of its functions.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use xtask::testbed::command::{Running, state};
use xtask::testbed::postgres::{Alone, Programs};
use xtask::testbed::wait;

use crate::postgres::commits::INSERT;

/// bpftrace compiles its program first.
const LIMIT: Duration = Duration::from_secs(60);

/// Commits until one has stood still for so long where this function begins.
pub(crate) fn commit_stopped_at(function: &str, alone: &Alone, length: Duration) {
    let mut sql = alone.server().connect().unwrap();
    let id = sql.value("select pg_backend_pid()").unwrap().unwrap();
    let backend = alone.server().process(&id).unwrap();
    let program = Programs::own().unwrap().path("postgres");
    let script = format!(
        "uprobe:{}:{function} /pid == {backend}/ {{ signal(\"SIGSTOP\"); exit(); }}",
        program.display()
    );
    let child = Command::new("bpftrace")
        .args(["--unsafe", "-e", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let trap = Running::new(child, "bpftrace");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Relaxed) {
                sql.query(INSERT).unwrap();
            }
        });
        let stopped = wait::until(LIMIT, "the backend to stand still", || {
            Ok((state(backend) == Some('T')).then_some(()))
        });
        over.store(true, Relaxed);
        thread::sleep(length);
        kill(backend, Signal::SIGCONT).unwrap();
        stopped.unwrap();
    });
    assert!(trap.wait(Some(LIMIT)).unwrap().success());
}
