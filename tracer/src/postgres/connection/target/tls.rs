//! How much TLS, as the connection string says.

use std::path::PathBuf;

use crate::postgres::connection::dsn::Settings;
use crate::postgres::connection::target::{LibpqEnvironment, TargetError, one_of};

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
    const NAMES: [(&str, Self); 6] = [
        ("disable", Self::Disable),
        ("allow", Self::Allow),
        ("prefer", Self::Prefer),
        ("require", Self::Require),
        ("verify-ca", Self::VerifyCa),
        ("verify-full", Self::VerifyFull),
    ];

    /// As libpq writes it.
    pub(crate) fn name(self) -> &'static str {
        let name = Self::NAMES.iter().find(|(_, mode)| *mode == self);
        name.map_or("", |(name, _)| name)
    }
}

/// What the settings say of TLS.
pub(super) fn read(settings: &Settings, around: &LibpqEnvironment<'_>) -> Result<Tls, TargetError> {
    let get = |key: &str| settings.get(key).map(String::as_str);
    let system = get("sslrootcert") == Some("system");
    let none = "is not valid: use disable, allow, prefer, require, verify-ca or verify-full";
    let mode = one_of(settings, "sslmode", SslMode::NAMES, none)?;
    let mode = mode.unwrap_or(match system {
        // The system's authorities sign for anybody: only the name says who it is.
        true => SslMode::VerifyFull,
        false => SslMode::Prefer,
    });
    if system && mode != SslMode::VerifyFull {
        let weak = "is too weak for sslrootcert=system; libpq takes verify-full only";
        return Err(TargetError::value("sslmode", mode.name(), weak));
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
    let versions = [
        ("TLSv1", false),
        ("TLSv1.1", false),
        ("TLSv1.2", false),
        ("TLSv1.3", true),
    ];
    let none = "is not valid: use TLSv1.2 or TLSv1.3";
    let only_1_3 = one_of(settings, "ssl_min_protocol_version", versions, none)?;
    let direct = match get("sslnegotiation") {
        None | Some("postgres") => false,
        Some("direct") if mode >= SslMode::Require => true,
        Some(other) => {
            let none = "is not valid: use postgres, or direct with sslmode=require or stricter";
            return Err(TargetError::value("sslnegotiation", other, none));
        }
    };
    Ok(Tls {
        mode,
        root,
        certificate: file("sslcert", ".postgresql/postgresql.crt"),
        key: file("sslkey", ".postgresql/postgresql.key"),
        only_1_3: only_1_3.unwrap_or(false),
        direct,
    })
}
