//! A server that does not track what its backends do: what it does not tell is `null`,
//! and never 0.

use std::{net::SocketAddr, thread};

use xtask::provision::http;

use xtask::testbed::postgres::Frozen;

use crate::postgres::watched::{LIMIT, Lab, Watched};

const DSN: &str = "host=10.0.10.2 user=postgres";
const LISTEN: &str = "127.0.0.1:9187";

#[test]
fn since_when_somebody_waits_is_not_known_without_track_activities() {
    let lab = Lab::start("pgquiet");
    lab.psql("alter system set track_activities = off");
    lab.psql("select pg_reload_conf()");
    let mut tool = Watched::start(lab.primary(), DSN, &["--listen", LISTEN]);
    tool.await_line(&[" 0 waiting for a standby"]);
    let scrape = || {
        let address: SocketAddr = LISTEN.parse().unwrap();
        let inside = || http::get(address, "/metrics", LIMIT);
        lab.primary().netns.enter(inside).unwrap().body
    };
    let frozen = Frozen::new(lab.receiver()).unwrap();
    let scraped = thread::scope(|scope| {
        let commit = scope.spawn(|| lab.psql("insert into lab (note) values ('test')"));
        tool.await_line(&[" 1 waiting for a standby"]);
        tool.await_line(&[" 1 waiting for a standby"]);
        let scraped = scrape();
        drop(frozen);
        commit.join().unwrap();
        scraped
    });
    assert!(scraped.contains("\ntracer_sync_rep_waiters 1"), "{scraped}");
    let longest = "\ntracer_sync_rep_longest_wait_seconds ";
    assert!(!scraped.contains(longest), "{scraped}");
    tool.await_line(&[" 0 waiting for a standby"]);
    let seen = tool.finish();

    let mut waited = 0;
    for one in &seen.postgres().series {
        let sample = &one.sample;
        if sample.sync_rep_waiters == Some(0) {
            assert_eq!(sample.sync_rep_longest_ms, Some(0.0), "{sample:?}");
            continue;
        }
        waited += 1;
        assert_eq!(sample.sync_rep_longest_ms, None, "{sample:?}");
        assert_eq!(sample.active, None, "{sample:?}");
        assert!(sample.untracked > Some(0), "{sample:?}");
        let mut waits = sample.waits.iter().flatten();
        let wait = waits.find(|wait| wait.event == "SyncRep").unwrap();
        assert_eq!(wait.longest_ms, None, "{sample:?}");
    }
    assert!(waited > 0, "{:?}", seen.postgres().series);
    let [warning] = seen.warnings()[..] else {
        panic!("{:?}", seen.warnings());
    };
    assert!(warning.contains("track_activities"), "{warning}");
}
