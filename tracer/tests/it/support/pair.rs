//! Connections of which a test holds both ends.

use std::{
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result};
use xtask::testbed::netns::Host;

const LIMIT: Duration = Duration::from_secs(30);

/// A listener on the host.
pub(crate) fn listen(host: &Host, address: IpAddr) -> Result<TcpListener> {
    host.netns
        .enter(|| Ok(TcpListener::bind(SocketAddr::new(address, 0))?))
}

/// A connection from the host to a listener: its end, and the accepted one.
pub(crate) fn connect(from: &Host, listener: &TcpListener) -> Result<(TcpStream, TcpStream)> {
    let connected = connect_only(from, listener)?;
    let (accepted, _) = listener.accept()?;
    Ok((connected, accepted))
}

/// The host's end of a connection that nobody accepts yet.
pub(crate) fn connect_only(from: &Host, listener: &TcpListener) -> Result<TcpStream> {
    let target = listener.local_addr()?;
    from.netns
        .enter(|| Ok(TcpStream::connect_timeout(&target, LIMIT)?))
        .context("cannot connect")
}
