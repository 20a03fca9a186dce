//! Asking for one socket, again and again.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use tracer_ebpf::Tuple;

use crate::kernel::sockets::{BUFFER, SocketInfo, SocketsError, message, open};

/// A conversation with one network namespace, which stays the one in which it was
/// begun.
#[derive(Debug)]
pub struct Inquirer {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Inquirer {
    /// Begins one with the calling thread's network namespace. Needs no privilege.
    ///
    /// # Errors
    /// If the kernel will not talk.
    pub fn open() -> Result<Self, SocketsError> {
        let socket = open().map_err(|errno| SocketsError::Netlink {
            step: "socket",
            errno,
        })?;
        Ok(Self {
            socket,
            buffer: vec![0; BUFFER],
        })
    }

    /// What the connection's socket says of itself now; `None` if there is no such
    /// connection.
    ///
    /// # Errors
    /// If the kernel cannot be asked, or its answer makes no sense.
    pub fn ask(&mut self, tuple: &Tuple) -> Result<Option<SocketInfo>, SocketsError> {
        let failed = |step| move |errno| SocketsError::Netlink { step, errno };
        let socket = self.socket.as_raw_fd();
        send(socket, &message::request_for(tuple), MsgFlags::empty()).map_err(failed("send"))?;
        let length = loop {
            match recv(socket, &mut self.buffer, MsgFlags::empty()) {
                Err(Errno::EINTR) => {}
                other => break other.map_err(failed("receive"))?,
            }
        };
        let mut found = Vec::new();
        let datagram = self.buffer.get(..length).unwrap_or_default();
        match message::parse(datagram, tuple.netns, |socket| found.push(socket)) {
            // A socket that listens there has other ends.
            Ok(_) => Ok(found.pop().filter(|one| one.tuple == *tuple)),
            Err(SocketsError::Refused(Errno::ENOENT)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::kernel::sockets::dump;

    fn is_asked_by_its_ends(address: &str) {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let port = client.local_addr().unwrap().port();
        let listed = dump(7).unwrap();
        let mut mine = listed.iter().filter(|one| one.tuple.local_port == port);
        let tuple = mine.next().unwrap().tuple;

        let mut inquirer = Inquirer::open().unwrap();
        let before = inquirer.ask(&tuple).unwrap().unwrap();
        assert_eq!((before.tuple, before.unacked), (tuple, Some(0)));
        server.write_all(b"x").unwrap();
        client.read_exact(&mut [0]).unwrap();
        let after = inquirer.ask(&tuple).unwrap().unwrap();
        assert!(after.segs_in > before.segs_in, "{before:?} {after:?}");
        assert!(after.min_rtt_us.is_some_and(|us| us < 1_000_000));

        // Where nothing is connected, the listener is no answer.
        let nobody = Tuple {
            local: tuple.remote,
            local_port: tuple.remote_port,
            remote: tuple.local,
            remote_port: 1,
            ..tuple
        };
        assert_eq!(inquirer.ask(&nobody).unwrap(), None);
        let nowhere = Tuple {
            local_port: 1,
            ..nobody
        };
        assert_eq!(inquirer.ask(&nowhere).unwrap(), None);
    }

    #[test]
    fn an_ipv4_connection_is_asked_by_its_ends() {
        is_asked_by_its_ends("127.0.0.1");
    }

    #[test]
    fn an_ipv6_connection_is_asked_by_its_ends() {
        is_asked_by_its_ends("::1");
    }
}
