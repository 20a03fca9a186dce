//! Packets of every shape, written byte by byte: exactly one bit of the right
//! field changes, or nothing does.

use std::fs::{File, OpenOptions};
use std::io::{Error, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{MsgFlags, recv};
use tracer::inject::Counts;
use xtask::testbed::netns::Net;

use super::helper::{counts, only, request, settle};
use crate::support::traffic::knock;

const LIMIT: Duration = Duration::from_secs(5);
const SOURCE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x77];
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Where the checksum stands in a TCP header.
const CHECKSUM: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Hit,
    Passed,
    Ignored,
}

struct Case {
    name: &'static str,
    tags: &'static [u16],
    /// Ethernet type and what follows the link header.
    packet: (u16, Vec<u8>),
    fate: Fate,
}

/// A TCP header, all of it recognisable.
fn tcp() -> Vec<u8> {
    let mut header: Vec<u8> = (0x40..0x54).collect();
    header[12] = 5 << 4;
    header.extend(b"payload that no fault may touch");
    header
}

fn v4(last: u8, options: usize, fragment: u16, protocol: u8) -> (u16, Vec<u8>) {
    let body = tcp();
    let length = (20 + options + body.len()) as u16;
    let mut packet = vec![0; 20 + options];
    packet[0] = 0x40 | (5 + options / 4) as u8;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[6..8].copy_from_slice(&fragment.to_be_bytes());
    packet[8] = 64;
    packet[9] = protocol;
    packet[12..16].copy_from_slice(&[10, 0, 10, 2]);
    packet[16..20].copy_from_slice(&[10, 0, 10, last]);
    packet[20..].fill(1);
    packet.extend(body);
    (0x0800, packet)
}

/// Extension headers as (own type, bytes with the first left for the next).
fn v6(extensions: &[(u8, Vec<u8>)]) -> (u16, Vec<u8>) {
    let mut types: Vec<u8> = extensions.iter().map(|(number, _)| *number).collect();
    types.push(TCP);
    let mut body = Vec::new();
    for ((_, bytes), next) in extensions.iter().zip(&types[1..]) {
        body.push(*next);
        body.extend(&bytes[1..]);
    }
    body.extend(tcp());
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([types[0], 64]);
    for last in [2, 3] {
        packet.extend([0xfd, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    packet.extend(body);
    (0x86dd, packet)
}

fn extension(length: usize, second: u8) -> Vec<u8> {
    let mut bytes = vec![0; length];
    bytes[1] = second;
    bytes
}

fn fragment(offset: u16) -> (u8, Vec<u8>) {
    let mut bytes = vec![0; 8];
    bytes[2..4].copy_from_slice(&(offset << 3 | 1).to_be_bytes());
    (44, bytes)
}

/// No IP at all.
fn neutral() -> Case {
    Case {
        name: "not IP",
        tags: &[],
        packet: (0x88b5, v4(3, 0, 0, TCP).1),
        fate: Fate::Ignored,
    }
}

fn cases() -> Vec<Case> {
    let case = |name, tags, packet, fate| Case {
        name,
        tags,
        packet,
        fate,
    };
    let more = 0x2000;
    let hop = (0, extension(8, 0));
    let routing = (43, extension(24, 2));
    let authentication = (51, extension(24, 4));
    let options = (60, extension(16, 1));
    vec![
        case("IPv4", &[], v4(3, 0, 0, TCP), Fate::Hit),
        case("IPv4 options", &[], v4(3, 8, 0, TCP), Fate::Hit),
        case("IPv4 tagged", &[0x8100], v4(3, 0, 0, TCP), Fate::Hit),
        case(
            "IPv4 tagged twice",
            &[0x88a8, 0x8100],
            v4(3, 0, 0, TCP),
            Fate::Hit,
        ),
        case("IPv4 first fragment", &[], v4(3, 0, more, TCP), Fate::Hit),
        case(
            "IPv4 later fragment",
            &[],
            v4(3, 0, more | 5, TCP),
            Fate::Passed,
        ),
        case("IPv4 UDP", &[], v4(3, 0, 0, UDP), Fate::Passed),
        case("IPv4 to another", &[], v4(4, 0, 0, TCP), Fate::Ignored),
        case("ARP", &[], (0x0806, vec![0; 28]), Fate::Ignored),
        neutral(),
        case("IPv6", &[], v6(&[]), Fate::Hit),
        case("IPv6 tagged", &[0x8100], v6(&[]), Fate::Hit),
        case(
            "IPv6 extensions",
            &[],
            v6(&[hop, routing, authentication, options]),
            Fate::Hit,
        ),
        case("IPv6 first fragment", &[], v6(&[fragment(0)]), Fate::Hit),
        case("IPv6 later fragment", &[], v6(&[fragment(9)]), Fate::Passed),
        case(
            "IPv6 unknown header",
            &[],
            v6(&[(253, extension(8, 0))]),
            Fate::Passed,
        ),
    ]
}

#[test]
fn each_shape_of_packet_has_its_fate() {
    let net = Net::pair("frames", "ens160").unwrap();
    let (from, to) = (net.host("primary").unwrap(), net.host("standby").unwrap());
    // A wire of their own: a switch may take or drop what it has not learnt.
    let wire = [
        "link", "add", "wire0", "type", "veth", "peer", "name", "wire1",
    ];
    let other_end = ["netns", to.netns.name()];
    from.netns
        .run("ip", &[&wire[..], &other_end].concat())
        .unwrap();
    for (host, end) in [(from, "wire0"), (to, "wire1")] {
        host.netns.run("ip", &["link", "set", end, "up"]).unwrap();
    }
    let receive = to.netns.enter(|| tap("wire1")).unwrap();
    from.netns
        .enter(|| {
            let mut both = request("corrupt=100%", to.v4.into());
            both.peers.push(IpAddr::from(to.v6).into());
            both.interface = Some("wire0".to_owned());
            let fault = both.prepare()?.start()?;
            let send = tap("wire0")?;
            // A link that has just come up loses what is sent at once.
            settle(LIMIT, "the link", || {
                transmit(&send, &neutral())?;
                Ok(arrival(&receive)?.is_some())
            })?;
            while arrival(&receive)?.is_some() {}
            let mut before = counts(&fault)?;
            for case in cases() {
                transmit(&send, &case)?;
                let mut arrived = Vec::new();
                settle(LIMIT, case.name, || {
                    arrived = arrival(&receive)?.unwrap_or_default();
                    Ok(!arrived.is_empty())
                })?;
                let after = counts(&fault)?;
                assert_eq!(fate(&before, &after), Some(case.fate), "{}", case.name);
                check(&case, &arrived);
                before = after;
            }
            assert!(only(fault.stop()).removed);
            Ok(())
        })
        .unwrap();
}

fn fate(before: &Counts, after: &Counts) -> Option<Fate> {
    let grown = (
        after.seen - before.seen,
        after.hit.unwrap() - before.hit.unwrap(),
        after.passed - before.passed,
    );
    match grown {
        (1, 1, 0) => Some(Fate::Hit),
        (0, 0, 1) => Some(Fate::Passed),
        (0, 0, 0) => Some(Fate::Ignored),
        _ => None,
    }
}

/// Compares from the end: the receiver's kernel takes tags out.
fn check(case: &Case, arrived: &[u8]) {
    let sent = &case.packet.1;
    let arrived = &arrived[arrived.len() - sent.len()..];
    let flipped: u32 = sent
        .iter()
        .zip(arrived)
        .map(|(sent, arrived)| (sent ^ arrived).count_ones())
        .sum();
    if case.fate != Fate::Hit {
        assert_eq!(flipped, 0, "{}", case.name);
        return;
    }
    assert_eq!(flipped, 1, "{}", case.name);
    let field = sent.len() - tcp().len() + CHECKSUM;
    assert_ne!(
        sent[field..field + 2],
        arrived[field..field + 2],
        "{}",
        case.name
    );
}

/// A socket for whole frames of one interface.
fn tap(interface: &str) -> Result<OwnedFd> {
    let all = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: plain system call.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, i32::from(all)) };
    ensure!(fd >= 0, "no packet socket: {}", Error::last_os_error());
    // SAFETY: just opened, and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all zero is a value of this C struct.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = all;
    address.sll_ifindex = if_nametoindex(interface)? as i32;
    // SAFETY: the address is as long as said.
    let result = unsafe {
        libc::bind(
            fd,
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    };
    ensure!(result == 0, "cannot bind: {}", Error::last_os_error());
    Ok(socket)
}

fn transmit(socket: &OwnedFd, case: &Case) -> Result<()> {
    let mut frame = vec![0xff; 6];
    frame.extend(SOURCE_MAC);
    for tag in case.tags {
        frame.extend(tag.to_be_bytes());
        frame.extend([0, 5]);
    }
    frame.extend(case.packet.0.to_be_bytes());
    frame.extend(&case.packet.1);
    let sent = nix::unistd::write(socket, &frame)?;
    ensure!(sent == frame.len());
    Ok(())
}

/// The next frame that is ours, if it is here.
fn arrival(socket: &OwnedFd) -> Result<Option<Vec<u8>>> {
    let mut frame = vec![0; 2048];
    loop {
        match recv(socket.as_raw_fd(), &mut frame, MsgFlags::MSG_DONTWAIT) {
            Ok(length) if frame[6..12] == SOURCE_MAC => return Ok(Some(frame[..length].to_vec())),
            Ok(_) => {}
            Err(Errno::EAGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A device without a link header. What it sends is read and summed up here.
#[test]
fn a_device_without_link_header_works_too() {
    let net = Net::pair("tun", "ens160").unwrap();
    let from = net.host("primary").unwrap();
    from.netns
        .enter(|| {
            let mut device = tun("tracer0")?;
            from.netns
                .run("ip", &["address", "add", "10.0.11.1/24", "dev", "tracer0"])?;
            from.netns.run("ip", &["link", "set", "tracer0", "up"])?;
            let to: SocketAddr = "10.0.11.2:5432".parse()?;
            let fault = request("corrupt=100%", to.ip()).prepare()?.start()?;
            assert_eq!(fault.interface().name, "tracer0");
            knock(to, 1)?;
            assert_ne!(tcp_sum(&mut device)?, 0xffff, "the checksum is right");
            let report = only(fault.stop());
            assert_eq!((report.seen, report.hit), (Some(1), Some(1)));
            assert!(report.removed, "{report:?}");
            knock(to, 1)?;
            assert_eq!(tcp_sum(&mut device)?, 0xffff, "the checksum is wrong");
            Ok(())
        })
        .unwrap();
}

/// `TUNSETIFF` with `IFF_TUN | IFF_NO_PI`.
fn tun(name: &str) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")?;
    // SAFETY: all zero is a value of this C struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = 0x1001;
    // SAFETY: the request outlives the call and its name ends with NUL.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), 0x4004_54ca, &raw mut request) };
    ensure!(result == 0, "no tun device: {}", Error::last_os_error());
    Ok(file)
}

/// The sum over the next IPv4 TCP packet and its pseudo-header: all ones if the
/// checksum in it is right.
fn tcp_sum(device: &mut File) -> Result<u16> {
    let mut packet = vec![0; 2048];
    for _ in 0..100 {
        let length = device.read(&mut packet)?;
        if packet[0] == 0x45 && packet[9] == TCP {
            let body = &packet[20..length];
            let mut sum = u32::from(TCP) + body.len() as u32;
            for pair in packet[12..20].chunks(2).chain(body.chunks(2)) {
                let low = pair.get(1).copied().unwrap_or(0);
                sum += u32::from(u16::from_be_bytes([pair[0], low]));
            }
            let folded = (sum & 0xffff) + (sum >> 16);
            return Ok(((folded & 0xffff) + (folded >> 16)) as u16);
        }
    }
    anyhow::bail!("no TCP packet left by the device")
}
