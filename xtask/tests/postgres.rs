//! A real primary and a real synchronous standby.

use std::time::{Duration, Instant};

use xtask::testbed::load::{Load, Pace, Plan, READ, WRITE};
use xtask::testbed::netns::Net;
use xtask::testbed::postgres::Pair;

#[test]
fn a_pair_replicates_and_its_commits_wait() {
    let net = Net::pair("pg", "ens160").unwrap();
    let begun = Instant::now();
    let mut pair = Pair::start(net.host("primary").unwrap(), net.host("standby").unwrap()).unwrap();
    eprintln!("pair ready in {:.1} s", begun.elapsed().as_secs_f64());
    let home = pair.primary().socket_dir().parent().unwrap().to_path_buf();
    assert!(home.exists());
    // A commit waits until the standby has it on disk, not until it shows it.
    let copied = xtask::testbed::wait::until(
        Duration::from_secs(10),
        "the standby to show the row",
        || pair.standby().value("select note from lab"),
    );
    assert_eq!(copied.unwrap(), "proof");
    pair.prove_commits_wait().unwrap();

    // The load: at its rate, while a condition (not a time) is waited for.
    let client = &net.host("standby").unwrap().netns;
    let plan = |sql: &str| Plan {
        sql: sql.to_owned(),
        pace: Pace::Open { rate: 50.0 },
        connections: 4,
    };
    let server = pair.primary().address();
    let writes = Load::start(client, server, plan(WRITE)).unwrap();
    let reads = Load::start(client, server, plan(READ)).unwrap();
    let written = "select 1 from lab where note = 'load' having count(*) >= 25";
    xtask::testbed::wait::until(Duration::from_secs(10), "25 writes", || {
        pair.primary().value(written)
    })
    .unwrap();
    for requests in [writes, reads].map(|load| load.stop(Duration::from_secs(5))) {
        assert!(requests.len() >= 20, "{}", requests.len());
        assert!(requests.iter().all(|request| request.error.is_none()));
        assert!(requests.is_sorted_by_key(|request| request.due));
    }

    // A server that goes away fails its requests, one by one, at their rate.
    let writes = Load::start(client, server, plan(WRITE)).unwrap();
    pair.primary_mut().crash();
    xtask::testbed::wait::until(Duration::from_secs(10), "failures", || {
        Ok((writes.failed() >= 5).then_some(()))
    })
    .unwrap();
    let writes = writes.stop(Duration::ZERO);
    assert!(
        writes
            .iter()
            .filter(|request| request.error.is_some())
            .count()
            >= 5
    );

    drop(pair);
    assert!(!home.exists());
}
