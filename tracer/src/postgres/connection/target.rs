//! Which server to ask, as whom and how: the connection string, completed by
//! libpq's environment and password file, and judged.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod error;
mod keyword;
mod place;
mod service;
mod tls;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::config::ChannelBinding;

use crate::postgres::connection::dsn::{self, Settings};
use crate::postgres::connection::passfile;
use crate::postgres::connection::target::place::SOCKET_FOLDERS;

pub use crate::postgres::connection::target::error::TargetError;
pub use crate::postgres::connection::target::place::{Route, Secret, ServerPlace};
pub use crate::postgres::connection::target::tls::{SslMode, Tls};

/// Connecting takes at most this long, unless the DSN says otherwise.
const CONNECTING: Duration = Duration::from_secs(5);
/// libpq takes no less, so that a slow name server does not spoil it.
const MIN_CONNECTING: u64 = 2;

/// Which servers will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// Any.
    Any,
    /// One that takes writes.
    ReadWrite,
    /// One that does not.
    ReadOnly,
    /// One that is not in recovery.
    Primary,
    /// One that is.
    Standby,
    /// A standby, or else any.
    PreferStandby,
}

/// Everything that a connection needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Servers, in the order in which to try them.
    pub places: Vec<ServerPlace>,
    /// Role.
    pub user: String,
    /// Database.
    pub dbname: String,
    /// TLS.
    pub tls: Tls,
    /// Whether the password exchange has to be bound to TLS, or must not be.
    pub channel_binding: Option<ChannelBinding>,
    /// Which servers will do.
    pub wants: Wants,
    /// Settings of the session.
    pub options: Option<String>,
    /// How long connecting to one server may take.
    pub connect_limit: Duration,
    /// What to warn of.
    pub warnings: Vec<String>,
}

/// What surrounds the tool: environment, user, files.
pub struct LibpqEnvironment<'a> {
    /// A variable's value.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Name of the effective user.
    pub user: Option<String>,
    /// That user's home.
    pub home: Option<PathBuf>,
}

impl LibpqEnvironment<'_> {
    /// A file in libpq's folder of the user's home.
    fn in_home(&self, name: &str) -> Option<PathBuf> {
        Some(self.home.as_ref()?.join(name))
    }
}

impl Target {
    /// Completes and judges a DSN by this process's environment.
    pub(crate) fn from_dsn(text: &str) -> Result<Self, TargetError> {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
            .ok()
            .flatten();
        let home = std::env::var_os("HOME")
            .map(PathBuf::from)
            .or_else(|| user.as_ref().map(|user| user.dir.clone()));
        Self::resolve(
            text,
            &LibpqEnvironment {
                variable: &|name| std::env::var(name).ok().filter(|value| !value.is_empty()),
                user: user.map(|user| user.name),
                home,
            },
        )
    }

    /// The same for any surroundings.
    ///
    /// # Errors
    /// As [`Self::from_dsn`].
    pub fn resolve(text: &str, around: &LibpqEnvironment<'_>) -> Result<Self, TargetError> {
        let settings = keyword::complete(dsn::parse(text)?, around)?;
        let get = |key: &str| settings.get(key).map(String::as_str);
        let user = get("user").or(around.user.as_deref());
        let user = user.ok_or(TargetError::NoUser)?.to_owned();
        let dbname = get("dbname").unwrap_or(&user).to_owned();
        let mut target = Self {
            places: place::read(&settings)?,
            tls: tls::read(&settings, around)?,
            channel_binding: one_of(
                &settings,
                "channel_binding",
                [
                    ("disable", ChannelBinding::Disable),
                    ("prefer", ChannelBinding::Prefer),
                    ("require", ChannelBinding::Require),
                ],
                "is not valid: use disable, prefer or require",
            )?,
            wants: one_of(
                &settings,
                "target_session_attrs",
                [
                    ("any", Wants::Any),
                    ("read-write", Wants::ReadWrite),
                    ("read-only", Wants::ReadOnly),
                    ("primary", Wants::Primary),
                    ("standby", Wants::Standby),
                    ("prefer-standby", Wants::PreferStandby),
                ],
                "is not valid: use any, read-write, read-only, primary, standby or prefer-standby",
            )?
            .unwrap_or(Wants::Any),
            options: get("options").map(str::to_owned),
            connect_limit: connect_limit(get("connect_timeout"))?,
            warnings: Vec::new(),
            user,
            dbname,
        };
        target.find_passwords(&settings, around);
        Ok(target)
    }

    fn find_passwords(&mut self, settings: &Settings, around: &LibpqEnvironment<'_>) {
        if let Some(password) = settings.get("password") {
            for place in &mut self.places {
                place.password = Some(Secret::new(password.clone().into_bytes()));
            }
            return;
        }
        let path = settings
            .get("passfile")
            .map(PathBuf::from)
            .or_else(|| around.in_home(".pgpass"));
        let Some(path) = path else {
            return;
        };
        let (file, warning) = passfile::read(&path);
        self.warnings.extend(warning);
        let Some(file) = file else {
            return;
        };
        for place in &mut self.places {
            let host = match &place.route {
                Route::Tcp { host, .. } => host.clone(),
                Route::Unix(folder) if SOCKET_FOLDERS.iter().any(|f| folder == Path::new(f)) => {
                    "localhost".to_owned()
                }
                Route::Unix(folder) => folder.display().to_string(),
            };
            let wanted = passfile::Wanted {
                host: &host,
                port: place.port,
                dbname: &self.dbname,
                user: &self.user,
            };
            place.password = passfile::find(&file, wanted).map(Secret::new);
        }
    }
}

/// As a connection string without its password: for reports and messages.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<String> = self.places.iter().map(ToString::to_string).collect();
        write!(
            f,
            "{} user={} dbname={} sslmode={}",
            places.join(","),
            self.user,
            self.dbname,
            self.tls.mode.name()
        )
    }
}

/// Adds what a service file in memory says of a service to what is not set yet; false if
/// it is not in there.
///
/// # Errors
/// The number of a line that libpq would refuse, counted from 1, and what is wrong with it.
pub(crate) fn of_service(
    file: &[u8],
    name: &str,
    settings: &mut Settings,
) -> Result<bool, (usize, &'static str)> {
    match service::section(file, name, settings, keyword::is_known) {
        Ok(found) => Ok(found),
        Err(service::SectionError::Line(number, fault)) => Err((number, fault.words())),
        // Memory is always there to be read.
        Err(service::SectionError::Read(_)) => Ok(false),
    }
}

/// The value of a setting that has few, by its name; `None` if it is not set.
fn one_of<T: Copy, const N: usize>(
    settings: &Settings,
    key: &'static str,
    known: [(&str, T); N],
    what: &'static str,
) -> Result<Option<T>, TargetError> {
    let Some(text) = settings.get(key) else {
        return Ok(None);
    };
    let found = known.iter().find(|(name, _)| name == text);
    let found = found.ok_or_else(|| TargetError::value(key, text, what))?;
    Ok(Some(found.1))
}

/// libpq waits for ever with 0 and below; nothing here does.
fn connect_limit(text: Option<&str>) -> Result<Duration, TargetError> {
    match text.map(str::parse::<i64>) {
        None => Ok(CONNECTING),
        Some(Ok(seconds)) if seconds > 0 => Ok(Duration::from_secs(
            seconds.unsigned_abs().clamp(MIN_CONNECTING, 60),
        )),
        Some(Ok(_)) => Ok(CONNECTING),
        Some(Err(_)) => {
            let text = text.unwrap_or_default();
            Err(TargetError::value(
                "connect_timeout",
                text,
                "is not a number of seconds",
            ))
        }
    }
}

#[cfg(test)]
mod tests;
