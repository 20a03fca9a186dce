//! Doors to what reads bytes that others have written, for the fuzz targets and for nobody
//! else: each as thin as it can be, and no part of the interface. What is public anyway has
//! no door here.

use std::fs::File;
use std::io;
use std::time::Duration;

use ipnet::IpNet;
use rustls::pki_types::{CertificateDer, ServerName};
use tracer_core::clock::Clock;
use tracer_core::event::Decoded;
use tracer_core::render::document::Document;
use tracer_core::report::Report;
use tracer_core::report::read::ReadError;

use crate::command::{replay, report};
use crate::config::{self, ConfigError};
use crate::kernel::fib::Fib;
use crate::kernel::link::{self, Link};
use crate::kernel::sockets::{self, SocketInfo, SocketsError};
use crate::kernel::{
    elf, offsets, parent, pidns, process, program, rtnetlink, server, server_cpu, sockstat,
};
use crate::postgres::connection::dsn::Settings;
use crate::postgres::connection::{self, target, tls};
use crate::programs::event_file;

/// An event as a line of `--events`, without its end.
pub fn line(decoded: &Decoded, clock: &Clock, jiffy_ns: u64) -> serde_json::Result<Vec<u8>> {
    event_file::json(decoded, clock, jiffy_ns)
}

/// What `tracer replay` makes of files with these contents.
pub fn replayed(recordings: Vec<Vec<u8>>) -> anyhow::Result<Report> {
    replay::of_bytes(recordings)
}

/// What `tracer report` makes of a file with these contents.
pub fn document(bytes: &[u8]) -> Result<Document, ReadError> {
    report::account(bytes)
}

/// What is said on standard error, as it gets there.
pub fn said(text: &str) -> String {
    tracer_core::harmless::lines(text).into_owned()
}

/// A length of time, as an option takes it.
pub fn parse_time(option: &'static str, text: &str) -> Result<Duration, ConfigError> {
    config::parse_time(option, text)
}

/// `--phases`.
pub fn phases(text: &str) -> Result<(Duration, Duration), ConfigError> {
    config::parse_phases(text)
}

/// Adds what a service file says of a service; false if it is not in there.
pub fn service(
    file: &[u8],
    name: &str,
    settings: &mut Settings,
) -> Result<bool, (usize, &'static str)> {
    target::of_service(file, name, settings)
}

/// What is left of a server's messages that come in pieces of this length, bytes.
pub fn sifted(stream: &[u8], piece: usize) -> Result<Vec<u8>, String> {
    connection::sift(stream, piece)
}

/// Where functions of a program begin in its file; `None` if it is no such file.
pub fn functions(image: &[u8], names: &[&str]) -> Option<Vec<Option<u64>>> {
    elf::offsets(image, names).ok()
}

/// Whether a file exports all of these.
pub fn exports(file: File, names: &[&str]) -> bool {
    elf::exports(file, names)
}

/// Where a function that begins there is watched.
pub fn behind_landing_pad(image: &[u8], begins: u64) -> u64 {
    elf::behind_landing_pad(image, begins)
}

/// Gives each message of a datagram of `NETLINK_ROUTE` to `each`.
pub fn messages(
    datagram: &[u8],
    more: bool,
    each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<bool> {
    rtnetlink::messages(datagram, more, each)
}

/// The interfaces by which packets to a peer may leave, by whole messages; `None` if one of
/// them is cut short.
pub fn ways(
    rules: &[&[u8]],
    routes: &[&[u8]],
    nexthops: &[&[u8]],
    peer: IpNet,
) -> Option<Vec<u32>> {
    let fib = Fib::of_messages(rules, routes, nexthops)?;
    Some(fib.ways(peer).interfaces.into_iter().collect())
}

/// An interface, by a whole message.
pub fn interface(message: &[u8]) -> Option<Link> {
    Link::parse(message)
}

/// The interface that a message says to have gone to another namespace.
pub fn moved(message: &[u8]) -> Option<u32> {
    link::moved(message)
}

/// The sockets of one datagram of `NETLINK_SOCK_DIAG`, and whether it is the last one.
pub fn sockets(datagram: &[u8], netns: u32) -> Result<(Vec<SocketInfo>, bool), SocketsError> {
    sockets::of_datagram(datagram, netns)
}

/// Of a server's certificate (DER): whether it has a key, whether it is for the host, and
/// of one of version 1 or 2 whether the roots make it trusted at that second since 1970.
/// `None` if it is no certificate.
pub fn certificate(
    der: &[u8],
    roots: &[CertificateDer<'_>],
    host: &ServerName<'_>,
    second: u64,
) -> Option<(bool, bool, Option<bool>)> {
    let found = tls::judge(der, roots, host, second)?;
    Some((found.has_key, found.is_for_host, found.trusted))
}

/// Sockets in use, of a line of `/proc/net/sockstat`.
pub fn sockets_in_use(text: &str, prefix: &str) -> Option<u32> {
    sockstat::in_use(text, prefix)
}

/// Whether BTF has what leads from a process to its parent, and to its number in a PID
/// namespace.
pub fn processes(btf: &[u8]) -> [bool; 2] {
    offsets::tells_processes(btf)
}

/// The inode of a link in `/proc/PID/fd`.
pub fn socket_inode(target: &[u8]) -> Option<u64> {
    process::socket_inode(target)
}

/// The parent in `/proc/PID/stat`.
pub fn parent(stat: &str) -> Option<u32> {
    parent::parent(stat)
}

/// The most memory in `/proc/PID/status`, KiB.
pub fn peak(status: &str) -> Option<u64> {
    process::parse_peak(status)
}

/// Text from elsewhere as it is shown.
pub fn printable(bytes: &[u8]) -> String {
    process::printable(bytes)
}

/// In how many PID namespaces a process has a number, by its `/proc/PID/status`.
pub fn levels(status: &str) -> Option<usize> {
    pidns::levels(status)
}

/// Whether arguments are those of an interpreter that runs Patroni.
pub fn is_patroni(line: &[u8]) -> bool {
    program::is_patroni(line)
}

/// How long a process ran and waited, by its `/proc/PID/schedstat`, ns.
pub fn times(text: &str) -> Option<(u64, u64)> {
    server_cpu::parse(text).map(|times| (times.ran_ns, times.waited_ns))
}

/// The version in `PG_VERSION`.
pub fn version(text: &str) -> Option<&str> {
    server::version(text)
}
