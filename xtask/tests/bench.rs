//! The benchmark in short: that each of its figures is had, whatever it is.

use xtask::provision::repo;

use xtask::task::bench;

#[test]
fn everything_is_measured() {
    bench::rehearse(&repo::build_debug().unwrap()).unwrap();
}
