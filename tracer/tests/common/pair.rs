//! Connections of which a test holds both ends.

use std::{
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result};
use xtask::netns::Host;

const LIMIT: Duration = Duration::from_secs(10);

/// A listener on the host.
pub(crate) fn listen(host: &Host, address: IpAddr) -> Result<TcpListener> {
    host.netns
        .enter(|| Ok(TcpListener::bind(SocketAddr::new(address, 0))?))
}

/// A connection from the host to a listener: its end, and the accepted one.
pub(crate) fn connect(from: &Host, listener: &TcpListener) -> Result<(TcpStream, TcpStream)> {
    let target = listener.local_addr()?;
    let connected = from
        .netns
        .enter(|| Ok(TcpStream::connect_timeout(&target, LIMIT)?));
    let connected = connected.context("cannot connect")?;
    let (accepted, _) = listener.accept()?;
    Ok((connected, accepted))
}
