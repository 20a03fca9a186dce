//! Where servers are.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::postgres::connection::dsn::Settings;
use crate::postgres::connection::target::TargetError;

const DEFAULT_PORT: u16 = 5432;
/// Where Debian's and Red Hat's servers listen, and where upstream's do.
pub(super) const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// A password, in whatever encoding: it shows itself to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The password itself.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPlace {
    /// How to get there.
    pub route: Route,
    /// Its port, also of a socket file.
    pub port: u16,
    /// The password for it.
    pub password: Option<Secret>,
}

/// How to get to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// The folder of its socket file; `@` begins an abstract one.
    Unix(PathBuf),
    /// Over TCP.
    Tcp {
        /// Its name, which its certificate has to bear.
        host: String,
        /// Its address, if it is not to be looked up.
        address: Option<IpAddr>,
    },
}

impl fmt::Display for ServerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.port;
        match &self.route {
            Route::Unix(folder) => write!(f, "{}/.s.PGSQL.{port}", folder.display()),
            Route::Tcp { host, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Route::Tcp { host, .. } => write!(f, "{host}:{port}"),
        }
    }
}

/// All servers that the settings name.
pub(super) fn read(settings: &Settings) -> Result<Vec<ServerPlace>, TargetError> {
    let list = |key: &str| -> Vec<&str> {
        let given = settings.get(key).map_or("", String::as_str);
        given.split(',').map(str::trim).collect()
    };
    let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = match settings.contains_key("hostaddr") {
        true => addresses.len(),
        false => hosts.len(),
    };
    if settings.contains_key("host") && hosts.len() != count {
        return Err(TargetError::Counts("hostaddr"));
    }
    if ports.len() != 1 && ports.len() != count {
        return Err(TargetError::Counts("port"));
    }
    (0..count)
        .map(|index| {
            let host = hosts.get(index).copied().unwrap_or_default();
            // One is for all.
            let port = match ports.as_slice() {
                [one] => one,
                ports => ports.get(index).copied().unwrap_or_default(),
            };
            let address =
                match addresses.get(index).copied().unwrap_or_default() {
                    "" => None,
                    text => Some(text.parse().map_err(|_| {
                        TargetError::value("hostaddr", text, "is not an IP address")
                    })?),
                };
            Ok(ServerPlace {
                route: route(host, address),
                port: parse_port(port)?,
                password: None,
            })
        })
        .collect()
}

fn route(host: &str, address: Option<IpAddr>) -> Route {
    match (host, address) {
        ("", None) => {
            let there = SOCKET_FOLDERS.iter().find(|f| Path::new(f).is_dir());
            Route::Unix(PathBuf::from(there.unwrap_or(&SOCKET_FOLDERS[0])))
        }
        (path, None) if path.starts_with(['/', '@']) => Route::Unix(PathBuf::from(path)),
        ("", Some(address)) => Route::Tcp {
            host: address.to_string(),
            address: Some(address),
        },
        (host, address) => Route::Tcp {
            host: host.to_owned(),
            address,
        },
    }
}

fn parse_port(text: &str) -> Result<u16, TargetError> {
    match (text, text.parse()) {
        ("", _) => Ok(DEFAULT_PORT),
        (_, Ok(port)) if port > 0 => Ok(port),
        _ => Err(TargetError::value("port", text, "is not a port")),
    }
}
