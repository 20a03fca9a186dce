//! How much TLS, as the connection string says.

use std::path::PathBuf;

use crate::postgres::connection::dsn::Settings;
use crate::postgres::connection::target::{LibpqEnvironment, TargetError};

/// How much TLS, as libpq names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// None.
    Disable,
    /// Only if the server does not take plain connections.
    Allow,
    /// If the server offers it.
    Prefer,
    /// Always; the certificate is checked only if there is a root certificate.
    Require,
    /// Always, from a server whose certificate is signed by a known authority.
    VerifyCa,
    /// Likewise, and the certificate is for this host.
    VerifyFull,
}

/// Files and limits of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// How much.
    pub mode: SslMode,
    /// Root certificates: a file, or `system`.
    pub root: Option<PathBuf>,
    /// The client's own certificate.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Nothing below TLS 1.3.
    pub only_1_3: bool,
    /// Without asking the server first (17 and later).
    pub direct: bool,
}

impl SslMode {
    const ALL: [Self; 6] = [
        Self::Disable,
        Self::Allow,
        Self::Prefer,
        Self::Require,
        Self::VerifyCa,
        Self::VerifyFull,
    ];

    /// As libpq writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// What the settings say of TLS.
pub(super) fn read(settings: &Settings, around: &LibpqEnvironment<'_>) -> Result<Tls, TargetError> {
    let get = |key: &str| settings.get(key).map(String::as_str);
    let system = get("sslrootcert") == Some("system");
    let mode = match get("sslmode") {
        // The system's authorities sign for anybody: only the name tells who it is.
        None if system => SslMode::VerifyFull,
        None => SslMode::Prefer,
        Some(text) => SslMode::ALL
            .into_iter()
            .find(|mode| mode.name() == text)
            .ok_or_else(|| TargetError::Value {
                key: "sslmode",
                value: text.to_owned(),
                what: "is none; there are disable, allow, prefer, require, verify-ca and verify-full",
            })?,
    };
    if system && mode != SslMode::VerifyFull {
        return Err(TargetError::Value {
            key: "sslmode",
            value: mode.name().to_owned(),
            what: "is too weak for sslrootcert=system; libpq takes verify-full only",
        });
    }
    let file = |key: &str, name: &str| match get(key) {
        Some(path) => Some(PathBuf::from(path)),
        None => around.in_home(name).filter(|path| path.exists()),
    };
    let root = file("sslrootcert", ".postgresql/root.crt");
    if matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull)
        && root.as_ref().is_none_or(|path| !system && !path.exists())
    {
        let looked = root.or_else(|| around.in_home(".postgresql/root.crt"));
        return Err(TargetError::NoRoot {
            mode: mode.name(),
            path: looked.map_or_else(String::new, |path| path.display().to_string()),
        });
    }
    let only_1_3 = match get("ssl_min_protocol_version") {
        None | Some("TLSv1" | "TLSv1.1" | "TLSv1.2") => false,
        Some("TLSv1.3") => true,
        Some(other) => {
            return Err(TargetError::Value {
                key: "ssl_min_protocol_version",
                value: other.to_owned(),
                what: "is none; there are TLSv1.2 and TLSv1.3",
            });
        }
    };
    let direct = match get("sslnegotiation") {
        None | Some("postgres") => false,
        Some("direct") if mode >= SslMode::Require => true,
        Some(other) => {
            return Err(TargetError::Value {
                key: "sslnegotiation",
                value: other.to_owned(),
                what: "is none, or `direct` with an sslmode below require",
            });
        }
    };
    Ok(Tls {
        mode,
        root,
        certificate: file("sslcert", ".postgresql/postgresql.crt"),
        key: file("sslkey", ".postgresql/postgresql.key"),
        only_1_3,
        direct,
    })
}
