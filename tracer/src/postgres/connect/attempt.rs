//! One server: over its socket file or TCP, with TLS or without.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::NoTls;
use tokio_postgres::config::{Config, SslMode as Negotiate, SslNegotiation};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};

use super::super::target::{Place, Route, SslMode, Target};
use super::super::tls;
use super::{APPLICATION, Link, Trouble, told};

/// Connects to one server, with and without TLS in the order of `sslmode`.
pub(super) async fn to(place: &Place, target: &Target, limit: Duration) -> Result<Link, Trouble> {
    let ways: &[Negotiate] = match (&place.route, target.tls.mode) {
        // As libpq: what never leaves the machine is not encrypted.
        (Route::Unix(_), _) | (_, SslMode::Disable) => &[Negotiate::Disable],
        (_, SslMode::Allow) => &[Negotiate::Disable, Negotiate::Require],
        (_, SslMode::Prefer) => &[Negotiate::Prefer, Negotiate::Disable],
        (_, SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) => &[Negotiate::Require],
    };
    let mut first = None;
    for way in ways {
        match attempt(place, target, *way, limit).await {
            Ok(link) => return Ok(link),
            Err(Attempt { trouble, other_way }) => {
                // The first failure is the one that is told.
                let trouble = first.get_or_insert(trouble);
                if !other_way {
                    return Err(trouble.clone());
                }
            }
        }
    }
    Err(first.unwrap_or_else(|| Trouble::passing(format!("{place}: not tried"))))
}

/// One attempt that failed.
struct Attempt {
    trouble: Trouble,
    /// Whether it may succeed with TLS instead of without, or the other way round.
    other_way: bool,
}

async fn attempt(
    place: &Place,
    target: &Target,
    way: Negotiate,
    limit: Duration,
) -> Result<Link, Attempt> {
    let unreached = |error: std::io::Error| Attempt {
        trouble: Trouble::passing(format!("cannot reach {place}: {error}")),
        other_way: false,
    };
    let config = login(place, target, way);
    match &place.route {
        Route::Unix(folder) => {
            let stream = unix(folder, place.port).await.map_err(unreached)?;
            start(&config, stream, NoTls, place, limit).await
        }
        Route::Tcp { host, address } => {
            let connected = match address {
                Some(address) => TcpStream::connect((*address, place.port)).await,
                None => TcpStream::connect((host.as_str(), place.port)).await,
            };
            let stream = connected
                .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
                .map_err(unreached)?;
            if way == Negotiate::Disable {
                return start(&config, stream, NoTls, place, limit).await;
            }
            let refused = |text: String| Attempt {
                trouble: Trouble::lasting(format!("{place}: TLS: {text}")),
                other_way: false,
            };
            let mut connector =
                tls::connector(&target.tls).map_err(|error| refused(error.to_string()))?;
            let tls = MakeTlsConnect::<TcpStream>::make_tls_connect(&mut connector, host)
                .map_err(|error| refused(error.to_string()))?;
            start(&config, stream, tls, place, limit).await
        }
    }
}

fn login(place: &Place, target: &Target, way: Negotiate) -> Config {
    let mut config = Config::new();
    config
        .user(&target.user)
        .dbname(&target.dbname)
        .application_name(APPLICATION)
        .ssl_mode(way);
    if target.tls.direct && way == Negotiate::Require {
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

/// The server's socket file; as in libpq, `@` begins the name of an abstract one.
async fn unix(folder: &Path, port: u16) -> std::io::Result<UnixStream> {
    let path = folder.join(format!(".s.PGSQL.{port}"));
    match path.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => {
            let name = [b"\0", name].concat();
            UnixStream::connect(OsStr::from_bytes(&name)).await
        }
        None => UnixStream::connect(path).await,
    }
}

/// Logs in over a socket.
async fn start<S, T>(
    config: &Config,
    stream: S,
    tls: T,
    place: &Place,
    limit: Duration,
) -> Result<Link, Attempt>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: TlsConnect<S>,
    T::Stream: Send + 'static,
{
    match config.connect_raw(stream, tls).await {
        Ok((client, connection)) => Ok(Link {
            client,
            transfer: tokio::spawn(async move {
                // The query that was under way fails with the same error.
                let _ = connection.await;
            }),
            limit,
        }),
        Err(error) => Err(refusal(&error, place)),
    }
}

/// Why a login failed.
fn refusal(error: &tokio_postgres::Error, place: &Place) -> Attempt {
    let told = told(error);
    let Some(code) = error.code() else {
        let tls = told.starts_with("error performing TLS handshake");
        let text = if told.contains("password missing") {
            format!(
                "{place} asks for a password, and there is none: set PGPASSWORD, or add a line to ~/.pgpass"
            )
        } else {
            format!("{place}: {told}")
        };
        return Attempt {
            trouble: Trouble {
                lasting: tls || text.contains("PGPASSWORD"),
                text,
            },
            other_way: tls,
        };
    };
    // No rule for this user without, or with, TLS.
    let by_rule = *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION;
    let lasting =
        by_rule || *code == SqlState::INVALID_PASSWORD || *code == SqlState::INVALID_CATALOG_NAME;
    Attempt {
        trouble: Trouble {
            text: format!("{place} refused the login: {told}"),
            lasting,
        },
        other_way: by_rule,
    }
}
