//! Asking a server to end what is under way on a connection.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::config::SslMode as Negotiate;
use tokio_postgres::tls::TlsConnect;

use crate::postgres::connection::attempt::{Via, encryption};
use crate::postgres::connection::key::CancelRequest;
use crate::postgres::connection::socket::{Reached, unix};
use crate::postgres::connection::target::Target;

/// "May we speak TLS?" (<https://www.postgresql.org/docs/15/protocol-message-formats.html>)
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Sends the request as the connection was made, and waits until it has
/// been taken: the server, or the pooler, then closes. Whether it ended anything, it does
/// not say.
///
/// Not by the client library, which closes at once: PgBouncer 1.18 then drops the
/// request, or dies of it (<https://github.com/pgbouncer/pgbouncer/pull/846>).
pub(super) async fn send(request: &CancelRequest, via: &Via, target: &Target) -> io::Result<()> {
    match &via.found {
        Reached::Unix(folder, port) => deliver(unix(folder, *port).await?, request).await,
        Reached::Tcp(address, host) => {
            let mut stream = TcpStream::connect(address).await?;
            if via.negotiate == Negotiate::Disable {
                return deliver(stream, request).await;
            }
            let must = via.negotiate == Negotiate::Require;
            if !(must && target.tls.direct) {
                stream.write_all(&TLS_REQUEST).await?;
                let mut answer = [0];
                stream.read_exact(&mut answer).await?;
                if answer != *b"S" {
                    return match must {
                        true => Err(io::ErrorKind::ConnectionRefused.into()),
                        false => deliver(stream, request).await,
                    };
                }
            }
            let tls = encryption(target, host).map_err(io::Error::other)?;
            deliver(tls.connect(stream).await?, request).await
        }
    }
}

async fn deliver(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &CancelRequest,
) -> io::Result<()> {
    stream.write_all(request.bytes()).await?;
    stream.flush().await?;
    let mut nothing = [0];
    // However it ends, it has ended.
    let _ = stream.read(&mut nothing).await;
    Ok(())
}
