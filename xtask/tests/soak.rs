//! A soak of a minute: what grows with each connection, scrape, interval or restart is
//! found by `cargo xtask soak`, and that it finds anything is tested here.

use std::time::Duration;

use xtask::provision::repo;

use xtask::task::soak;

#[test]
fn nothing_grows_in_a_minute() {
    let program = repo::build_debug().unwrap();
    soak::soak(&program, Duration::from_secs(60)).unwrap();
}
