//! The socket below a connection: made, made once more, and held on to until the other
//! side has closed it.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// What may come before the other side's end and is thrown away, bytes: more than a
/// socket of its holds.
const MAX_UNREAD: usize = 64 << 20;

/// Where a server was found, to get to the same one again.
#[derive(Debug, Clone)]
pub(super) enum Reached {
    /// The folder of its socket file, and the port in that file's name.
    Unix(PathBuf, u16),
    /// Its address, of those that its name has, and the name.
    Tcp(SocketAddr, String),
}

/// A second descriptor of the same socket.
#[derive(Debug)]
pub(super) enum Twin {
    Unix(OwnedFd),
    Tcp(OwnedFd),
}

/// The server's socket file; as in libpq, `@` begins the name of an abstract one.
pub(super) async fn unix(folder: &Path, port: u16) -> io::Result<UnixStream> {
    let path = folder.join(format!(".s.PGSQL.{port}"));
    match path.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => {
            let name = [b"\0", name].concat();
            UnixStream::connect(OsStr::from_bytes(&name)).await
        }
        None => UnixStream::connect(path).await,
    }
}

impl Twin {
    pub(super) fn unix(stream: &UnixStream) -> io::Result<Self> {
        Ok(Self::Unix(stream.as_fd().try_clone_to_owned()?))
    }

    pub(super) fn tcp(stream: &TcpStream) -> io::Result<Self> {
        Ok(Self::Tcp(stream.as_fd().try_clone_to_owned()?))
    }

    /// Closes this side, and waits until the other one is closed: true then, false if
    /// that will never be known.
    pub(super) async fn closed(self) -> bool {
        match self {
            Self::Unix(socket) => drain(UnixStream::from_std(socket.into())).await,
            Self::Tcp(socket) => drain(TcpStream::from_std(socket.into())).await,
        }
    }
}

async fn drain<S: AsyncRead + AsyncWrite + Unpin>(stream: io::Result<S>) -> bool {
    let Ok(mut stream) = stream else {
        return false;
    };
    // Fails where it was closed already.
    let _ = stream.shutdown().await;
    let mut scratch = [0; 4096];
    let mut left = MAX_UNREAD;
    loop {
        match stream.read(&mut scratch).await {
            Ok(0) => return true,
            // Who goes on and on shall not keep a processor busy: what it has not been
            // read of is refused when this is closed, and so it learns of the end.
            Ok(length) => match left.checked_sub(length) {
                Some(less) => left = less,
                None => return true,
            },
            // Silence for too long is not an end, a refusal is.
            Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}
