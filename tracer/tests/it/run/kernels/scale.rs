//! More sockets that retransmit at once than any table was made for.

use std::{env, time::Duration};

use xtask::testbed::{knocks::Knocking, netns::Net, wait};

use super::cell;
use crate::support::{kernel::Counters, listeners::prepare, tool::Tool};

/// What is more than the room that is made where nothing is known of sockets to come: 16,384.
const SOCKETS: usize = 20_000;
/// An emulated machine is asked for few more than that.
const SOCKETS_IN_A_GUEST: usize = 17_000;
/// How often each SYN is retransmitted before there is an answer, on the average.
const TIMES: u64 = 2;
/// An emulated machine sends a thousand in seconds.
const LIMIT: Duration = Duration::from_secs(400);

#[test]
fn more_sockets_than_a_table_has_room_for() {
    let net = Net::pair("scale", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let count = sockets();
    let listeners = prepare(from, to, count).unwrap();
    let before = Counters::read(&from.netns).unwrap();
    // What has no room among the flows is not what this is about.
    let tool = Tool::start(&from.netns, &["--all", "--max-flows", "1000"]).unwrap();
    net.plug("standby", false).unwrap();
    let mut knocking: Vec<Knocking> = listeners
        .iter()
        .map(|(listener, some)| {
            let target = listener.local_addr().unwrap();
            Knocking::start(from, target, *some).unwrap()
        })
        .collect();
    wait::until(LIMIT, "SYNs to be retransmitted", || {
        for knocks in &mut knocking {
            knocks.all_out()?;
        }
        let grown = Counters::read(&from.netns)?.since(before);
        Ok((grown.syn >= count as u64 * TIMES).then_some(()))
    })
    .unwrap();
    net.plug("standby", true).unwrap();
    wait::until(LIMIT, "every socket to be connected", || {
        let connected = from.netns.counter("Tcp", "CurrEstab")?;
        Ok((connected >= count as u64).then_some(()))
    })
    .unwrap();
    // Of some sockets the end is counted, and the others are there at the end.
    drop(knocking.pop());
    let left = count - listeners.last().unwrap().1;
    wait::until(LIMIT, "some to be closed", || {
        let connected = from.netns.counter("Tcp", "CurrEstab")?;
        Ok((connected <= left as u64).then_some(()))
    })
    .unwrap();
    let report = tool.finish().unwrap();
    let grown = Counters::read(&from.netns).unwrap().since(before);

    println!("{grown:?}\n{:?}\n{:?}", report.totals, report.gaps);
    report.check_sums_beyond_room();
    assert_eq!(report.totals.kernel_retrans_segs, Some(grown.segments));
    assert_eq!(report.difference(), 0, "{:?}", report.warnings);
    let kinds = &report.totals.by_kind;
    assert_eq!(kinds.syn + kinds.other, grown.segments);
    assert_eq!(kinds.other, report.totals.unseen_segments);
    if report.capabilities.socket_storage {
        report.check_sums();
        cell::found("memory of a socket", "in the socket");
        cell::exact("more sockets than room", "", grown.segments);
    } else {
        // What had no room is known by the sums of the sockets, and said.
        assert!(report.gaps.sockets_full > 0 && kinds.other > 0);
        assert!(report.warned("than the kernel programs could remember"));
        cell::found("memory of a socket", "in a table");
        cell::exact_sum("more sockets than room", grown.segments);
    }
}

#[test]
fn connections_that_have_closed_leave_their_slots_to_others() {
    const AT_ONCE: usize = 20;
    const ROUNDS: usize = 8;
    /// For those of several rounds: a slow machine gives back what closed later.
    const ROOM: usize = 5 * AT_ONCE;
    let net = Net::pair("slots", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    let target = (to.v4, 2_000).into();
    prepare(from, to, 0).unwrap();
    let before = Counters::read(&from.netns).unwrap();
    let room = ROOM.to_string();
    let options = ["--all", "--max-flows", &room, "--interval", "100ms"];
    let tool = Tool::start(&from.netns, &options).unwrap();
    net.plug("standby", false).unwrap();
    for round in 1..=ROUNDS {
        let mut held = Knocking::start(from, target, AT_ONCE).unwrap();
        wait::until(LIMIT, "SYNs to be retransmitted", || {
            held.all_out()?;
            let grown = Counters::read(&from.netns)?.since(before);
            Ok((grown.syn >= (round * AT_ONCE) as u64).then_some(()))
        })
        .unwrap();
        drop(held);
    }
    let report = tool.finish().unwrap();
    println!("{:?}\n{:?}", report.totals, report.gaps);
    report.check_sums();
    assert_eq!(report.gaps.flows_full, 0);
    assert_eq!(report.difference(), 0, "{:?}", report.warnings);
    let by_peer = &report.by_peer[0];
    assert_eq!(by_peer.port, Some(2_000));
    assert_eq!(by_peer.sums.segments, report.totals.segments);
    // Of two that had the same port of this host, one after the other, one is seen.
    let flows = by_peer.sums.flows.unwrap();
    assert!(
        (ROOM as u64..=(ROUNDS * AT_ONCE) as u64).contains(&flows),
        "{flows}"
    );
}

fn sockets() -> usize {
    match env::var("TRACER_TEST_SOCKETS") {
        Ok(text) => text.parse().unwrap(),
        Err(_) if env::var_os("TRACER_TEST_SEGMENTS").is_some() => SOCKETS_IN_A_GUEST,
        Err(_) => SOCKETS,
    }
}
