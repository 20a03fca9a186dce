//! More sockets that retransmit at once than any table was made for.

use std::{
    env, io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::{AsRawFd as _, OwnedFd},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket},
};
use xtask::testbed::{
    netns::{Host, Net},
    wait,
};

use super::cell;
use crate::support::{kernel::Counters, tool::Tool};

/// What is more than the room that is made where nothing is known of sockets to come: 16,384.
const SOCKETS: usize = 20_000;
/// An emulated machine is asked for few more than that.
const SOCKETS_IN_A_GUEST: usize = 17_000;
/// A process may have some more descriptors than these.
const A_PROCESS: usize = 10_000;
/// Nobody's address, on the network of the hosts.
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 0, 10, 99);
const PORT: u16 = 1_000;
/// So often each SYN is sent again: after one second, and two more.
const TIMES: u64 = 2;
/// An emulated machine sends a thousand in seconds.
const LIMIT: Duration = Duration::from_secs(400);
/// For the process that [`knocks`]: how many times, and at which port.
const COUNT: &str = "TRACER_TEST_KNOCKS";
const TARGET: &str = "TRACER_TEST_KNOCKS_AT";

#[test]
fn more_sockets_than_a_table_has_room_for() {
    let net = Net::pair("scale", "ens160").unwrap();
    let from = net.host("primary").unwrap();
    let count = sockets();
    prepare(from).unwrap();
    let before = Counters::read(&from.netns).unwrap();
    // What has no room among the flows is not what this is about.
    let tool = Tool::start(&from.netns, &["--max-flows", "1000"]).unwrap();
    let mut left = count;
    let mut knocking = Vec::new();
    for port in PORT.. {
        if left == 0 {
            break;
        }
        let some = left.min(A_PROCESS);
        knocking.push(Knocking::start(from, some, port).unwrap());
        left -= some;
    }
    let expected = count as u64 * TIMES;
    wait::until(LIMIT, "every SYN to be sent again", || {
        let grown = Counters::read(&from.netns)?.since(before);
        Ok((grown.syn >= expected).then_some(()))
    })
    .unwrap();
    // Some sockets are closed while it counts, and the others after that.
    drop(knocking.pop());
    let report = tool.finish().unwrap();
    let grown = Counters::read(&from.netns).unwrap().since(before);

    println!("{grown:?}\n{:?}\n{:?}", report.totals, report.gaps);
    report.check_sums_beyond_room();
    assert_eq!(report.totals.kernel_retrans_segs, Some(grown.segments));
    assert_eq!(grown.segments, expected);
    assert_eq!(report.difference(), 0);
    let kinds = &report.totals.by_kind;
    let unseen = report.totals.unseen_segments;
    assert_eq!((kinds.syn + kinds.other, kinds.other), (expected, unseen));
    if report.capabilities.socket_storage {
        report.check_sums();
        cell::found("memory of a socket", "in the socket");
        cell::exact("more sockets than room", "", grown.segments);
    } else {
        // What had no room is known by the sums of the sockets, and said.
        assert!(report.gaps.sockets_full > 0 && unseen > 0);
        assert!(report.warned("than the kernel programs could remember"));
        cell::found("memory of a socket", "in a table");
        cell::exact_sum("more sockets than room", grown.segments);
    }
}

fn sockets() -> usize {
    match env::var("TRACER_TEST_SOCKETS") {
        Ok(text) => text.parse().unwrap(),
        Err(_) if env::var_os("TRACER_TEST_SEGMENTS").is_some() => SOCKETS_IN_A_GUEST,
        Err(_) => SOCKETS,
    }
}

/// SYNs to nobody leave this host without a question, get no answer, and are sent again so
/// often.
fn prepare(host: &Host) -> Result<()> {
    host.netns.ip(&format!(
        "neigh add {NOBODY} lladdr 02:00:00:00:00:99 dev {} nud permanent\n",
        host.interface
    ))?;
    let netns = &host.netns;
    netns.sysctl("net.ipv4.tcp_syn_retries", &TIMES.to_string())?;
    netns.sysctl("net.ipv4.ip_local_port_range", "1024 65535")
}

/// A process that holds sockets which nobody answers; ended when dropped.
struct Knocking(Child);

impl Knocking {
    fn start(host: &Host, count: usize, port: u16) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command
            .args(["--exact", "run::kernels::scale::knocks", "--ignored"])
            .env(COUNT, count.to_string())
            .env(TARGET, SocketAddr::from((NOBODY, port)).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let child = host.netns.enter(|| Ok(command.spawn()?))?;
        Ok(Self(child))
    }
}

impl Drop for Knocking {
    fn drop(&mut self) {
        // The end of its input is its end.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "what another test starts, to have sockets of its own"]
fn knocks() {
    let Some(count) = env::var(COUNT).ok().map(|text| text.parse().unwrap()) else {
        return;
    };
    let target = env::var(TARGET).unwrap().parse().unwrap();
    let held: Result<Vec<_>> = (0_usize..count).map(|_| knock(target)).collect();
    let held = held.unwrap();
    io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
    drop(held);
}

/// Sends a SYN and does not wait for an answer.
fn knock(target: SocketAddr) -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None)
        .context("there are no descriptors left")?;
    let result = connect(socket.as_raw_fd(), &SockaddrStorage::from(target));
    ensure!(result == Err(Errno::EINPROGRESS), "connect said {result:?}");
    Ok(socket)
}
