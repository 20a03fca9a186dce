//! A real primary and a real synchronous standby.

use std::time::Instant;

use xtask::netns::Net;
use xtask::postgres::Pair;

#[test]
fn a_pair_replicates_and_its_commits_wait() {
    let net = Net::pair("pg", "ens160").unwrap();
    let begun = Instant::now();
    let pair = Pair::start(net.host("primary").unwrap(), net.host("standby").unwrap()).unwrap();
    eprintln!("pair ready in {:.1} s", begun.elapsed().as_secs_f64());
    let home = pair.primary().socket_dir().parent().unwrap().to_path_buf();
    assert!(home.exists());
    let copied = pair.standby().value("select note from lab").unwrap();
    assert_eq!(copied.as_deref(), Some("proof"));
    pair.prove_commits_wait().unwrap();
    drop(pair);
    assert!(!home.exists());
}
