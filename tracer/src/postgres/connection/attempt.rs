//! One server: over its socket file or TCP, with TLS or without.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_postgres::NoTls;
use tokio_postgres::config::{Config, SslMode as Negotiate, SslNegotiation};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};

use crate::postgres::connection::door::{Door, Presence};
use crate::postgres::connection::metered::{self, Below, Metered, Stage};
use crate::postgres::connection::socket::{Reached, Twin, unix};
use crate::postgres::connection::target::{Route, ServerPlace, SslMode, Target};
use crate::postgres::connection::{ConnectError, Connection, Parts, refusal, tls};

/// How a server was reached: to reach it once more as before.
#[derive(Debug, Clone)]
pub(super) struct Via {
    pub(super) found: Reached,
    pub(super) negotiate: Negotiate,
}

/// Connects to one server, with and without TLS in the order of `sslmode`.
pub(super) async fn to(
    place: &ServerPlace,
    door: &Arc<Door>,
    limit: Duration,
) -> Result<Connection, ConnectError> {
    let modes: &[Negotiate] = match (&place.route, door.target.tls.mode) {
        // As libpq: what never leaves the machine is not encrypted.
        (Route::Unix(_), _) | (_, SslMode::Disable) => &[Negotiate::Disable],
        (_, SslMode::Allow) => &[Negotiate::Disable, Negotiate::Require],
        (_, SslMode::Prefer) => &[Negotiate::Prefer, Negotiate::Disable],
        (_, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) => &[Negotiate::Require],
    };
    let mut first = None;
    for mode in modes {
        match attempt(place, door, *mode, limit).await {
            Ok(link) => return Ok(link),
            Err(Attempt { trouble, other_way }) => {
                // The first failure is the one that is returned.
                let trouble = first.get_or_insert(trouble);
                if !other_way {
                    return Err(trouble.clone());
                }
            }
        }
    }
    Err(first.unwrap_or_else(|| ConnectError::passing(format!("{place}: not tried"))))
}

/// One attempt that failed.
struct Attempt {
    trouble: ConnectError,
    /// Whether it may succeed with TLS instead of without, or the other way round.
    other_way: bool,
}

async fn attempt(
    place: &ServerPlace,
    door: &Arc<Door>,
    negotiate: Negotiate,
    limit: Duration,
) -> Result<Connection, Attempt> {
    let unreached = |error: std::io::Error| Attempt {
        trouble: ConnectError::passing(format!("cannot reach {place}: {error}")),
        other_way: false,
    };
    let login = Login {
        config: config(place, &door.target, negotiate),
        place,
        door,
        limit,
    };
    match &place.route {
        Route::Unix(folder) => {
            let stream = unix(folder, place.port).await.map_err(unreached)?;
            let twin = Twin::unix(&stream).map_err(unreached)?;
            let via = Via {
                found: Reached::Unix(folder.clone(), place.port),
                negotiate,
            };
            login.start(stream, NoTls, door.enter(twin), via).await
        }
        Route::Tcp { host, address } => {
            let connected = match address {
                Some(address) => TcpStream::connect((*address, place.port)).await,
                None => TcpStream::connect((host.as_str(), place.port)).await,
            };
            let stream = connected.map_err(unreached)?;
            stream.set_nodelay(true).map_err(unreached)?;
            let peer = stream.peer_addr().map_err(unreached)?;
            let presence = door.enter(Twin::tcp(&stream).map_err(unreached)?);
            let via = Via {
                found: Reached::Tcp(peer, host.clone()),
                negotiate,
            };
            if negotiate == Negotiate::Disable {
                return login.start(stream, NoTls, presence, via).await;
            }
            let tls = encryption(&door.target, host).map_err(|text| Attempt {
                trouble: ConnectError::permanent(format!("{place}: TLS: {text}")),
                other_way: false,
            })?;
            login.start(stream, tls, presence, via).await
        }
    }
}

/// What encrypts a connection to that host.
pub(super) fn encryption(
    target: &Target,
    host: &str,
) -> Result<
    <tokio_postgres_rustls::MakeRustlsConnect as MakeTlsConnect<TcpStream>>::TlsConnect,
    String,
> {
    let mut connector = tls::connector(&target.tls).map_err(|error| error.to_string())?;
    MakeTlsConnect::<TcpStream>::make_tls_connect(&mut connector, host)
        .map_err(|error| error.to_string())
}

/// Without a name for the session: see [`Connection::introduce`].
fn config(place: &ServerPlace, target: &Target, mode: Negotiate) -> Config {
    let mut config = Config::new();
    config
        .user(&target.user)
        .dbname(&target.dbname)
        .ssl_mode(mode);
    if target.tls.direct && mode == Negotiate::Require {
        config.ssl_negotiation(SslNegotiation::Direct);
    }
    if let Some(password) = &place.password {
        config.password(password.reveal());
    }
    if let Some(options) = &target.options {
        config.options(options);
    }
    if let Some(binding) = target.channel_binding {
        config.channel_binding(binding);
    }
    config
}

/// What a login needs, whatever the socket.
struct Login<'a> {
    config: Config,
    place: &'a ServerPlace,
    door: &'a Arc<Door>,
    limit: Duration,
}

impl Login<'_> {
    /// Logs in over a socket.
    async fn start<S, T>(
        self,
        stream: S,
        tls: T,
        mut presence: Presence,
        via: Via,
    ) -> Result<Connection, Attempt>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: TlsConnect<S>,
        T::Stream: Send + 'static,
        T::Future: Send + 'static,
    {
        let found = metered::ExcessFound::default();
        let stage = match self.config.get_ssl_mode() {
            Negotiate::Disable => Stage::Messages,
            _ if self.config.get_ssl_negotiation() == SslNegotiation::Direct => Stage::Sealed,
            _ => Stage::Question,
        };
        let stream = Metered::new(stream, stage, Arc::clone(&found));
        match self.config.connect_raw(stream, Below(tls)).await {
            Ok((client, connection)) => {
                presence.admit();
                Ok(Connection {
                    parts: Some(Parts {
                        client,
                        transfer: tokio::spawn(async move {
                            // The query that was under way fails as well.
                            let _ = connection.await;
                        }),
                        presence,
                        via,
                        key: None,
                        door: Arc::clone(self.door),
                        found,
                    }),
                    own: false,
                    busy: AtomicBool::new(false),
                    limit: self.limit,
                })
            }
            Err(error) => {
                if let Some(excess) = found.get() {
                    return Err(Attempt {
                        trouble: ConnectError::permanent(format!("{} {excess}", self.place)),
                        other_way: false,
                    });
                }
                let (trouble, other_way) = refusal::of_login(&error, self.place);
                Err(Attempt { trouble, other_way })
            }
        }
    }
}
